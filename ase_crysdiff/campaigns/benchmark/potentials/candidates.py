"""Relative energies of a composition's candidates against another potential."""

import itertools
import math
from collections.abc import Sequence
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
    relax. Compared are those that both potentials bring to rest, their energies taken from the mean
    of the composition's candidates: what a potential errs for all alike changes no choice.

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
        relative, pairs = _relative(found, reference), _differences(found, reference)
        hits = [100.0 * _same_lowest(both) for both in _both(found, reference)]
        return [
            Row("relative energy, mean |error|", "eV/atom", _mean_difference(relative)),
            Row("relative energy of two, mean |error|", "eV/atom", _mean_difference(pairs)),
            Row("the lowest is that of the reference", "%", mean(hits)),
            Row("compositions", "1", len(hits)),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        relative = _relative(found, reference)
        ours, theirs = [a for a, _ in relative], [b for _, b in relative]
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


def _both(found: Values, reference: Values) -> list[list[tuple[float, float]]]:
    """For each composition the energies of those candidates that both potentials could relax,
    eV/atom, where there are two or more.
    """
    pairs = [
        [
            (ours, theirs)
            for ours, theirs in zip(energies, reference.values[key], strict=True)
            if ours is not None and theirs is not None
        ]
        for key, energies in found.values.items()
        if key in reference.values
    ]
    return [both for both in pairs if len(both) > 1]


def _relative(found: Values, reference: Values) -> list[tuple[float, float]]:
    """Each candidate's energy above the mean of its composition's in each potential, eV/atom."""
    relative = []
    for both in _both(found, reference):
        ours, theirs = (math.fsum(energies) / len(both) for energies in zip(*both, strict=True))
        relative += [(a - ours, b - theirs) for a, b in both]
    return relative


def _differences(found: Values, reference: Values) -> list[tuple[float, float]]:
    """For each two candidates of a composition, by how much the first is higher in each
    potential, eV/atom.
    """
    return [
        (one[0] - other[0], one[1] - other[1])
        for both in _both(found, reference)
        for one, other in itertools.combinations(both, 2)
    ]


def _mean_difference(pairs: Sequence[tuple[float, float]]) -> float | None:
    return mean_size([a - b for a, b in pairs])


def _same_lowest(both: Sequence[tuple[float, float]]) -> bool:
    """Whether what is lowest in our potential is lowest, or as low, in the other one."""
    _, chosen = min(both, key=lambda pair: pair[0])
    return chosen <= min(theirs for _, theirs in both) + _TIE
