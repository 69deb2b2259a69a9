"""Do generated crystals as a whole look like known ones?"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure
from scipy.stats import wasserstein_distance

from ase_crysdiff.metrics.base import MetricResult, bootstrap
from ase_crysdiff.metrics.examined import examined
from ase_crysdiff.metrics.reference import Reference, report_entry
from ase_crysdiff.metrics.space_groups import Symmetry


def density_distance(structures: Sequence[Structure | None], reference: Reference) -> MetricResult:
    """Wasserstein-1 distance of the densities of sound structures to the reference, g/cm³.

    Source: Xie et al. 2022 (CDVAE), property statistics.
    """
    return _wasserstein(structures, lambda s: float(s.density), reference.densities, reference)


def num_elements_distance(
    structures: Sequence[Structure | None], reference: Reference
) -> MetricResult:
    """Wasserstein-1 distance of the numbers of distinct elements of sound structures to the
    reference.
    """
    return _wasserstein(
        structures,
        lambda s: float(len({site.specie.Z for site in s})),
        reference.num_elements,
        reference,
    )


def num_atoms_distance(
    structures: Sequence[Structure | None], reference: Reference
) -> MetricResult:
    """Total variation distance of the numbers of atoms of sound structures to the reference: 0
    equal, 1 disjoint.
    """
    values, failures = _values(structures, lambda s: float(len(s)))
    return _varied(values, failures, reference.num_atoms, reference)


def num_primitive_atoms_distance(
    found: Sequence[Symmetry | str], reference: Reference
) -> MetricResult:
    """Total variation distance of the numbers of atoms of primitive cells to the reference: 0
    equal, 1 disjoint.

    It tells more than `num_atoms_distance` of a sampler that draws cells of several sizes, which
    may hold one primitive cell or many.

    Args:
        found: Of the structures, from `space_groups.symmetries`.
        reference: Known crystals.
    """
    failures = {i: s for i, s in enumerate(found) if isinstance(s, str)}
    values = [float(s.primitive) if isinstance(s, Symmetry) else None for s in found]
    return _varied(values, failures, [float(s.primitive) for s in reference.symmetries], reference)


def total_variation(
    a: Sequence[float] | NDArray[np.float64], b: Sequence[float] | NDArray[np.float64]
) -> float:
    """Half the summed difference of two histograms, each normalised to 1."""
    values, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    p = np.bincount(places[: len(a)], minlength=len(values)) / len(a)
    q = np.bincount(places[len(a) :], minlength=len(values)) / len(b)
    return float(0.5 * np.abs(p - q).sum())


def _varied(
    values: list[float | None],
    failures: dict[int, str],
    known: Sequence[float],
    reference: Reference,
) -> MetricResult:
    return _result(
        lambda sample: total_variation(sample, known), values, failures, known, reference
    )


def _wasserstein(
    structures: Sequence[Structure | None],
    measure: Callable[[Structure], float],
    known: Sequence[float],
    reference: Reference,
) -> MetricResult:
    values, failures = _values(structures, measure)
    return _result(
        lambda sample: float(wasserstein_distance(sample, known)),
        values,
        failures,
        known,
        reference,
    )


def _values(
    structures: Sequence[Structure | None], measure: Callable[[Structure], float]
) -> tuple[list[float | None], dict[int, str]]:
    given = examined(structures)
    values = [measure(given.sound[i]) if i in given.sound else None for i in range(len(given))]
    return values, dict(given.failures)


def _result(
    distance: Callable[[NDArray[np.float64]], float],
    values: list[float | None],
    failures: dict[int, str],
    known: Sequence[float],
    reference: Reference,
) -> MetricResult:
    """The distance, and beside it the one that as many known crystals have from all of them: no
    model comes below it.
    """
    sound = np.array([v for v in values if v is not None])
    settings = report_entry(reference)
    if not len(sound) or not len(known):
        return MetricResult(math.nan, (math.nan, math.nan), tuple(values), failures, settings)
    drawn = np.random.default_rng(0).choice(np.sort(known), (20, len(sound)))
    settings["noise_floor"] = float(np.mean([distance(d) for d in drawn]))
    interval = bootstrap(distance, sound.tolist(), is_distance=True)
    return MetricResult(distance(sound), interval, tuple(values), failures, settings)
