"""Relative energies of a composition's candidates against another potential."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Parity,
    Row,
    Section,
    Values,
    mean,
    mean_size,
)
from ase_crysdiff.campaigns.benchmark.potentials.crystals import Crystals
from ase_crysdiff.campaigns.benchmark.predictions import (
    draw_missing,
    entries_of_targets,
    requests_for,
    structure_of,
)
from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.sampling.batched import SamplerSpec
from ase_crysdiff.storage import Store

#: The journal of the candidates.
CANDIDATES = "candidates"
#: Candidates of each composition.
COUNT = 5
#: Energies that differ by less are one, eV/atom.
_TIE = 1e-3
_SAMPLER = SamplerSpec("prototypes", None, "cpu")
_KEYS = "index", "reason", "lattice", "frac_coords", "species"


class Candidates(Section):
    """The first candidates of `prototypes` for compositions, which each potential relaxes itself.

    What is known of the composition itself is left out. Candidates keep their symmetry while they
    relax.

    Args:
        crystals: Whose compositions.
        count: Compositions, evenly spread.
    """

    name, title, compares = "polymorphs", "candidates of a composition", True

    def __init__(self, crystals: Crystals, count: int) -> None:
        self.crystals, self.count = crystals, count
        self.unusable = crystals.unusable
        self.settings = {**crystals.described, "candidates": COUNT, "sampler": _SAMPLER.name}

    def items(self, folder: Store) -> list[Item]:
        chosen = self.crystals.spread(self.count)
        names = tuple(map(self.crystals.key, chosen))
        targets = Targets(names, tuple(chosen.values()))
        sampler = _SAMPLER.load()
        asked, _ = requests_for(sampler, targets, None, wishes={"known": False})
        rows: dict[int, list[Structure]] = {}
        for one in asked:
            # A journal for each choice of compositions: the numbers of the draws depend on it.
            name = f"{CANDIDATES}-{targets.digest[:12]}{one.label}"
            drawn = draw_missing(
                folder.journal(name, *_KEYS),
                _SAMPLER,
                sampler,
                one.request,
                seed=0,
                wanted=one.indices([COUNT] * len(names)),
                batch_size=64,
                workers=0,
            )
            for target, entries in entries_of_targets(drawn, one).items():
                sound = [structure_of(e) for e in entries if e["reason"] is None]
                rows[target] = [structure for structure in sound if gate(structure) is None]
        return [Item(names[target], row) for target, row in sorted(rows.items()) if len(row) > 1]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        return [_energies(row, contender) for row in given]

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        pairs = _differences(found.values, reference.values)
        hits = [
            100.0 * _same_lowest(found.values[key], energies)
            for key, energies in reference.values.items()
            if key in found.values and len(_both(found.values[key], energies)) > 1
        ]
        return [
            Row("relative energy of two, mean |error|", "eV/atom", _mean_difference(pairs)),
            Row("the lowest is that of the reference", "%", mean(hits)),
            Row("compositions", "1", len(hits)),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        pairs = _differences(found.values, reference.values)
        ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        return [Parity("relative energy", "eV/atom", theirs, ours, "the reference")]


def _energies(candidates: Sequence[Structure], contender: Contender) -> list[float | None]:
    """Of the candidates at rest, eV/atom; None for what did not relax to a crystal."""
    results = relax(candidates, contender.potential, symmetric=True, progress=False)
    return [
        result.energy_per_atom
        if result.converged and result.structure is not None and gate(result.structure) is None
        else None
        for result in results
    ]


def _both(ours: Sequence[float | None], theirs: Sequence[float | None]) -> list[int]:
    """Candidates that both potentials could relax."""
    pairs = enumerate(zip(ours, theirs, strict=True))
    return [i for i, (a, b) in pairs if a is not None and b is not None]


def _differences(
    ours: Mapping[str, list[float]], theirs: Mapping[str, list[float]]
) -> list[tuple[float, float]]:
    """For each two candidates of a composition, by how much the first is higher in each
    potential, eV/atom.
    """
    return [
        (ours[key][i] - ours[key][j], theirs[key][i] - theirs[key][j])
        for key in ours.keys() & theirs.keys()
        for i, j in itertools.combinations(_both(ours[key], theirs[key]), 2)
    ]


def _mean_difference(pairs: Sequence[tuple[float, float]]) -> float | None:
    return mean_size([a - b for a, b in pairs])


def _same_lowest(ours: list[float], theirs: list[float]) -> bool:
    """Whether what is lowest in our potential is lowest, or as low, in the other one."""
    both = _both(ours, theirs)
    chosen = min(both, key=lambda i: ours[i])
    return theirs[chosen] <= min(theirs[i] for i in both) + _TIE
