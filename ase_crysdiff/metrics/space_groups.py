"""How symmetric are the crystals, and are their space groups those of known crystals?"""

import math
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.symmetry.groups import sg_symbol_from_int_number

from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation import TIMEOUT, Failure, Workers, map_isolated
from ase_crysdiff.metrics.base import MetricResult, bootstrap, rate
from ase_crysdiff.metrics.examined import examined
from ase_crysdiff.symmetry.refinement import SYMMETRY_ERRORS

#: Tolerance in Å at which a space group is named, and those of the curve: noise of a few hundredths
#: of an ångström decides.
SYMPREC = 0.1
CURVE = (0.01, 0.05, 0.1, 0.2, 0.3)
#: Tolerance in Å of the curve that only crystals at rest, or made symmetric, pass.
TIGHT = 0.01
#: First space group of each crystal system.
CRYSTAL_SYSTEMS = {
    "triclinic": 1,
    "monoclinic": 3,
    "orthorhombic": 16,
    "tetragonal": 75,
    "trigonal": 143,
    "hexagonal": 168,
    "cubic": 195,
}
_GROUPS = 230


@dataclass(frozen=True)
class Symmetry:
    """What spglib finds in a crystal.

    Args:
        group: Number of the space group at `SYMPREC`.
        primitive: Atoms of the primitive cell there.
        curve: Number at each tolerance of the curve; None where no group was found or atoms were
            merged.
    """

    group: int
    primitive: int
    curve: tuple[int | None, ...] = ()


def symmetries(
    structures: Sequence[Structure | None],
    curve: tuple[float, ...] = CURVE,
    *,
    workers: Workers = 0,
    timeout: float = TIMEOUT,
) -> list[Symmetry | str]:
    """The symmetry of each structure, or the reason why it has none.

    Args:
        structures: None and what fails the gate never reach spglib, which a coordinate that is not
            a number ends.
        curve: Tolerances besides `SYMPREC`, Å; each costs a call.
        workers: Processes, which may hang or die at the cost of the structure in work; 0 works in
            this one.
        timeout: Seconds for one structure.
    """
    given = examined(structures)
    answers = map_isolated(
        find_symmetry, [(s, curve) for s in given.sound.values()], workers=workers, timeout=timeout
    )
    found: list[Symmetry | str] = [given.failures.get(i, "") for i in range(len(given))]
    for i, answer in zip(given.sound, answers, strict=True):
        found[i] = f"spglib: {answer.reason}" if isinstance(answer, Failure) else answer
    return found


def find_symmetry(task: tuple[Structure, tuple[float, ...]]) -> Symmetry:
    """Space groups at `SYMPREC` and at other tolerances, with spglib's own angle tolerance.

    Raises:
        InputError: If there is none at `SYMPREC`.
    """
    structure, curve = task
    datasets = {symprec: _dataset(structure, symprec) for symprec in {SYMPREC, *curve}}
    found = datasets[SYMPREC]
    if found is None:
        raise InputError(f"no space group within {SYMPREC} Å")
    groups = (datasets[symprec] for symprec in curve)
    primitive = int(found.mapping_to_primitive.max()) + 1
    return Symmetry(
        int(found.number), primitive, tuple(None if d is None else int(d.number) for d in groups)
    )


def _dataset(structure: Structure, symprec: float) -> Any:
    """What spglib finds; None if it finds nothing or merges atoms, as a loose tolerance does."""
    import spglib

    cell = (
        structure.lattice.matrix,
        structure.frac_coords % 1.0,
        [site.specie.Z for site in structure],
    )
    dataset = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Where older versions return nothing, newer ones may raise errors of their own.
        with suppress(*SYMMETRY_ERRORS):
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
    if dataset is None:
        return None
    expected = len(structure) * abs(np.linalg.det(dataset.std_lattice)) / structure.volume
    return dataset if round(expected) == len(dataset.std_types) else None


def symmetry_success(found: Sequence[Symmetry | str], symprec: float = SYMPREC) -> MetricResult:
    """Share of the requested structures with a space group other than P1 and P-1; the curve over
    tolerances is in the settings.

    A structure in which spglib finds nothing is a failure, not P1.

    Source: CHGGen, after relaxation and refinement, at a tolerance that its text does not give.
    Here nothing is refined: give the symmetries of relaxed structures.

    Args:
        found: Of the requested structures, from `symmetries`.
        symprec: Tolerance in Å, one of the curve.

    Raises:
        InputError: If the tolerance is none of the curve.
    """
    if symprec not in CURVE:
        raise InputError(f"symprec must be one of {', '.join(map(str, CURVE))} Å, got {symprec}.")
    failures, known = _split(found)
    verdicts = {
        at: [s is not None and (s.curve[k] or 1) > 2 for s in known] for k, at in enumerate(CURVE)
    }
    shares = {at: sum(hits) / len(known) for at, hits in verdicts.items()} if known else {}
    settings = {**_settings(), "symprec": symprec, "curve": shares}
    return rate(verdicts[symprec], failures, settings)


def space_groups(found: Sequence[Symmetry | str], known: Sequence[Symmetry] = ()) -> MetricResult:
    """Jensen-Shannon distance (base 2) of the space groups to those of known crystals: 0 equal, 1
    disjoint.

    NaN without known crystals; the numbers of the groups are given per structure all the same.
    Distances of group *numbers* would mean nothing.

    Args:
        found: Of the structures, from `symmetries`.
        known: Of the reference.
    """
    failures, symmetry = _split(found)
    return _against([None if s is None else s.group for s in symmetry], failures, known)


def against(result: MetricResult, known: Sequence[Symmetry]) -> MetricResult:
    """The space groups of the same structures beside those of other known crystals.

    Data sets differ: a histogram of training crystals is no yardstick for one of a test set.

    Args:
        result: Of `space_groups`.
        known: Of the other reference.
    """
    return _against(result.per_structure, result.failures, known)


def _against(
    groups: Sequence[int | None], failures: Mapping[int, str], known: Sequence[Symmetry]
) -> MetricResult:
    own, other = [g for g in groups if g is not None], [s.group for s in known]
    settings = {
        **_settings(),
        "counts": _counted(own),
        "reference_counts": _counted(other),
        "reference_crystals": len(other),
    }
    if not own or not other:
        return MetricResult(math.nan, (math.nan, math.nan), tuple(groups), failures, settings)
    mine, target = _histogram(own), _histogram(other)

    def distance(sample: NDArray[np.float64]) -> float:
        return jensen_shannon(_histogram(sample.astype(int)), target)

    systems = [
        np.bincount(np.searchsorted(list(CRYSTAL_SYSTEMS.values()), g, "right"), minlength=8)
        for g in (own, other)
    ]
    shares = np.abs(mine / len(own) - target / len(other))
    settings |= {
        "total_variation": float(0.5 * shares.sum()),
        "crystal_systems": jensen_shannon(*systems),
    }
    interval = bootstrap(distance, [float(g) for g in own], is_distance=True)
    return MetricResult(jensen_shannon(mine, target), interval, tuple(groups), failures, settings)


def group_symbol(number: int | None) -> str:
    """The short symbol of a space group; nothing for None."""
    if not number:
        return ""
    symbol = str(sg_symbol_from_int_number(number))
    return re.sub(r"^([A-Z])1(.+)1$", r"\1\2", symbol) if 3 <= number <= 15 else symbol


def crystal_system(number: int) -> str:
    """The crystal system of a space group."""
    return next(name for name, first in reversed(CRYSTAL_SYSTEMS.items()) if number >= first)


def jensen_shannon(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Distance (root of the divergence, base 2) between two histograms, each normalised to 1."""
    p, q = a / a.sum(), b / b.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = sum(np.where(x > 0, x * np.log2(x / middle), 0.0).sum() for x in (p, q)) / 2
    return math.sqrt(min(1.0, max(0.0, float(divergence))))


def _split(found: Sequence[Symmetry | str]) -> tuple[dict[int, str], list[Symmetry | None]]:
    """Reasons by position, and the symmetries with None in the place of the failures."""
    return {i: s for i, s in enumerate(found) if isinstance(s, str)}, [
        s if isinstance(s, Symmetry) else None for s in found
    ]


def _histogram(groups: Sequence[int] | NDArray[np.int_]) -> NDArray[np.int_]:
    return np.bincount(groups, minlength=_GROUPS + 1)


def _counted(groups: Sequence[int]) -> dict[int, int]:
    return dict(sorted(Counter(groups).items()))


def _settings() -> dict[str, Any]:
    return {"symprec": SYMPREC, "angle_tolerance": "automatic", "spglib": version("spglib")}
