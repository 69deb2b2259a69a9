"""Known crystals with other elements on their sites, as a sampler."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models.card import Card
from ase_crysdiff.prototypes.exchange import Exchange, RandomExchange
from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.prototypes.retrieval import Ranking, Vote, candidates
from ase_crysdiff.prototypes.symmetry import Symmetry
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.symmetry_wishes import LARGEST, possible_units
from ase_crysdiff.sampling.tasks.csp import CSP, Amounts
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.templates import Drawn, Templates, unsound_crystal
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import space_group

#: Compositions whose candidates are remembered.
_REMEMBERED = 4096
#: Elements that are named in place of one that the library does not know.
_NEAREST = 3


@dataclass
class _Ranking:
    """The candidates for a composition, and those of them that were built and are sound."""

    ranked: Ranking
    sound: list[Drawn] = field(default_factory=list)
    looked_at: int = 0


class PrototypeSampler(Sampler):
    """Draws from a library of known crystals.

    For a composition draw i is the candidate of rank i, whatever the seed. New crystals are
    templates drawn as often as they occur, with their elements exchanged; the card says up to how
    many atoms, unless the number of atoms or a prototype is given.

    Args:
        library: The crystals.
        card: Of the library.
        exchange: How new crystals get their elements; None exchanges by chance, by the card's
            settings.
    """

    card: Card

    def __init__(self, library: Library, card: Card, exchange: Exchange | None = None) -> None:
        self.library, self.card = library, card
        self.vote = Vote(**card.config["vote"])
        chance = RandomExchange(library.distance, library.elements, **card.config["exchange"])
        self.templates = Templates(library, card.config["template_atoms"], chance, exchange)
        self.capabilities = Capabilities(
            tasks=frozenset({DeNovo, CSP}),
            constraints=frozenset(
                {"composition", "formula_units", "num_atoms", "chemical_system", "elements"}
                | {"space_group", "prototype", "known"}
            ),
            known_elements=library.elements,
            deterministic=frozenset({CSP}),
        )
        self._ranking = lru_cache(maxsize=_REMEMBERED)(self._ranked)

    def check(self, request: SampleRequest) -> None:
        self._check_elements(request)
        super().check(request)
        task = request.task
        if isinstance(task, CSP) and task.cells is None:
            for number in range(_kinds(request)):
                if not self._ranking(*self._asked(request, number)).ranked:
                    raise IncompatibleError(self._nothing(request, number))
        elif isinstance(task, DeNovo):
            for number in range(_kinds(request)):
                wished = _wished(request, number)
                if not self.templates.sums(task, request.space_group, wished)[-1] > 0:
                    raise IncompatibleError(
                        f"{self.name!r} knows no crystal that could become one with what is asked "
                        "for."
                    )

    def evaluations(self, request: SampleRequest) -> int:
        return 0

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        predicts = isinstance(request.task, CSP)
        drawn = [
            self._predicted(request, streams.indices[i])
            if predicts
            else self.templates.crystal(
                request, _wished(request, streams.indices[i]), streams.take([i])
            )
            for i in range(len(streams))
        ]
        properties: dict[str, list[Any]] = {"template": [], "scaffold": [], "space_group": []}
        for one in drawn:
            scaffold = one.crystal.scaffold if isinstance(one, Drawn) else None
            properties["template"].append(one.template if isinstance(one, Drawn) else None)
            properties["scaffold"].append(None if scaffold is None else str(scaffold))
            symbol = None if scaffold is None else scaffold.space_group.symbol
            properties["space_group"].append(symbol)
        if predicts:
            properties["rank"] = [i // _kinds(request) for i in streams.indices]
            properties["log_votes"] = [
                round(one.log_votes, 4) if isinstance(one, Drawn) else None for one in drawn
            ]
        failures = {i: one for i, one in enumerate(drawn) if isinstance(one, str)}
        return Sampled(_batch(drawn), properties, failures)

    def _predicted(self, request: SampleRequest, index: int) -> Drawn | str:
        """The candidate whose turn it is, or why there is none."""
        rank, number = divmod(index, _kinds(request))
        ranking = self._ranking(*self._asked(request, number))
        while len(ranking.sound) <= rank and ranking.looked_at < len(ranking.ranked):
            candidate = ranking.ranked[ranking.looked_at]
            ranking.looked_at += 1
            crystal = candidate.crystal(self.library)
            if unsound_crystal(crystal) is None:
                most = float(ranking.ranked.scores.max())
                votes = 0.0 if candidate.known else candidate.score - most
                ranking.sound.append(Drawn(crystal, candidate.template(self.library), votes))
        if rank < len(ranking.sound):
            return ranking.sound[rank]
        count = len(ranking.sound)
        return f"the library has only {count} candidate{'s' if count != 1 else ''}"

    def _ranked(
        self,
        cells: tuple[Amounts, ...],
        group: int | None,
        wished: Prototype | Scaffold | None,
        known: bool,
    ) -> _Ranking:
        """Candidates for one of some contents of cells."""
        choice = None
        if group is not None or wished is not None:
            choice = Symmetry(self.library, group, wished)
        return _Ranking(candidates(self.library, cells, self.vote, known=known, choice=choice))

    def _asked(
        self, request: SampleRequest, number: int
    ) -> tuple[tuple[Amounts, ...], int | None, Prototype | Scaffold | None, bool]:
        """What the candidates of a number in a task hang on: contents of primitive cells, space
        group, prototype, and whether known structures count.
        """
        task, wished = request.task, _wished(request, number)
        assert isinstance(task, CSP)
        cells = (task.cells[number % len(task.cells)],) if task.cells else self._cells(request)
        return cells, request.space_group, wished, request.known is not False

    def _cells(self, request: SampleRequest) -> tuple[Amounts, ...]:
        """Contents of the cells that hold possible numbers of formula units of a composition."""
        task = request.task
        assert isinstance(task, CSP)
        unit, largest = task.composition or (), max(map(sum, self.library.counts))
        atoms = sum(count for _, count in unit)
        units: Iterable[int] = range(1, largest // atoms + 1)
        if request.symmetric:
            units = possible_units(request, task, LARGEST)
        elif task.num_atoms is not None:
            units = (task.num_atoms // atoms,)
        elif task.formula_units is not None:
            units = task.formula_units
        return tuple(tuple((z, count * n) for z, count in unit) for n in units)

    def _nothing(self, request: SampleRequest, number: int) -> str:
        task, wished = request.task, _wished(request, number)
        assert isinstance(task, CSP)
        unit = task.composition or ()
        formula = "".join(f"{SYMBOLS[z]}{count if count > 1 else ''}" for z, count in unit)
        where = "" if wished is None else f" of the prototype {wished}"
        if request.space_group is not None and wished is None:
            where = f" in {space_group(request.space_group).symbol}"
        return (
            f"{self.name!r} knows no crystal{where} with the numbers of atoms of {formula}, in "
            "which elements could be exchanged. Ask for other formula_units, or a sampler that "
            "needs no template."
        )

    def _check_elements(self, request: SampleRequest) -> None:
        """Refuses elements that the library never saw.

        Raises:
            InputError: If there are any; names the nearest that it knows.
        """
        task = request.task
        asked: set[int] = set()
        if isinstance(task, CSP):
            asked = {z for amounts in task.compositions for z, _ in amounts}
        elif isinstance(task, DeNovo):
            asked = set((task.chemical_system or frozenset()) | (task.elements or frozenset()))
        for z in sorted(asked - self.library.elements):
            known = sorted(self.library.elements)
            near = sorted(known, key=lambda k: float(self.library.distance[z, k]))[:_NEAREST]
            raise InputError(
                f"{self.name!r} holds no crystal with {SYMBOLS[z]}, so that nothing tells which "
                f"element it resembles. The nearest that it knows: "
                f"{', '.join(SYMBOLS[k] for k in near)}."
            )


def _kinds(request: SampleRequest) -> int:
    """How many different contents or prototypes take turns."""
    task = request.task
    cells = len(task.cells) if isinstance(task, CSP) and task.cells is not None else 1
    return max(cells, len(request.prototypes), 1)


def _wished(request: SampleRequest, number: int) -> Prototype | Scaffold | None:
    """The wished prototype whose turn it is."""
    prototypes = request.prototypes
    return prototypes[number % len(prototypes)] if prototypes else None


def _batch(drawn: Sequence[Drawn | str]) -> CrystalBatch:
    """The crystals; an empty one stands where there is none."""
    crystals = [one.crystal if isinstance(one, Drawn) else None for one in drawn]
    lattices = [np.eye(3) if c is None else c.lattice for c in crystals]
    places = [np.zeros((0, 3)) if c is None else c.frac_coords for c in crystals]
    species = [np.zeros(0, np.int64) if c is None else c.species for c in crystals]
    return CrystalBatch(
        torch.tensor(np.array(lattices), dtype=torch.float32),
        torch.tensor(np.concatenate(places), dtype=torch.float32),
        torch.tensor(np.concatenate(species)),
        torch.tensor([len(s) for s in species]),
    )
