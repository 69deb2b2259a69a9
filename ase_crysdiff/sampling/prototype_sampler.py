"""Known crystals with other elements on their sites, as a sampler."""

from collections.abc import Mapping
from functools import lru_cache

from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models.card import Card
from ase_crysdiff.prototypes.exchange import Exchange, RandomExchange
from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.prototypes.retrieval import Vote, candidates
from ase_crysdiff.prototypes.symmetry import Symmetry
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import (
    Answers,
    Asked,
    Drawn,
    batch_of,
    said_of,
    turns,
    wished_in,
)
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.symmetry_wishes import LARGEST
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.templates import Templates
from ase_crysdiff.symmetry.tables import space_group

#: Compositions whose candidates are remembered.
_REMEMBERED = 4096
#: Elements that are named in place of one that the library does not know.
_NEAREST = 3


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
        odds: By how much more often templates of new crystals have a space group, by its number.
    """

    card: Card

    def __init__(
        self,
        library: Library,
        card: Card,
        exchange: Exchange | None = None,
        odds: Mapping[int, float] | None = None,
    ) -> None:
        self.library, self.card = library, card
        self.vote = Vote(**card.config["vote"])
        chance = RandomExchange(library.distance, library.elements, **card.config["exchange"])
        usual = card.config["template_atoms"]
        self.templates = Templates(library, usual, chance, exchange, odds)
        self.capabilities = Capabilities(
            tasks=frozenset({DeNovo, CSP}),
            constraints=frozenset(
                {"composition", "formula_units", "num_atoms", "chemical_system", "elements"}
                | {"space_group", "prototype", "known"}
            ),
            known_elements=library.elements,
            deterministic=frozenset({CSP}),
        )
        self._answers = lru_cache(maxsize=_REMEMBERED)(self._ranked)

    def check(self, request: SampleRequest) -> None:
        self._check_elements(request)
        super().check(request)
        task = request.task
        if isinstance(task, CSP) and task.cells is None:
            for number in range(turns(request)):
                if not self._answers(self._asked(request, number)).candidates:
                    raise IncompatibleError(self._nothing(request, number))
        elif isinstance(task, DeNovo):
            for number in range(turns(request)):
                wished = wished_in(request, number)
                if not self.templates.sums(task, request.space_group, wished)[-1] > 0:
                    raise IncompatibleError(
                        f"{self.name!r} knows no crystal that could become one with what is asked "
                        "for."
                    )

    def steers(self, request: SampleRequest) -> bool:
        return isinstance(request.task, DeNovo)

    def evaluations(self, request: SampleRequest) -> int:
        return 0

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        predicts = isinstance(request.task, CSP)
        drawn = (
            [self._predicted(request, index) for index in streams.indices]
            if predicts
            else self.templates.crystals(request, streams)
        )
        failures = {i: one for i, one in enumerate(drawn) if isinstance(one, str)}
        ranks = [i // turns(request) for i in streams.indices] if predicts else None
        return Sampled(batch_of(drawn), said_of(drawn, ranks), failures)

    def _predicted(self, request: SampleRequest, index: int) -> Drawn | str:
        """The candidate whose turn it is, or why there is none."""
        rank, number = divmod(index, turns(request))
        answers = self._answers(self._asked(request, number))
        return answers.at(rank) or answers.missing()

    def _ranked(self, asked: Asked) -> Answers[Drawn]:
        """Candidates for one of some contents of cells."""
        choice = None
        if asked.group is not None or asked.wished is not None:
            choice = Symmetry(self.library, asked.group, asked.wished)
        ranking = candidates(self.library, asked.cells, self.vote, known=asked.known, choice=choice)
        most = float(ranking.scores.max()) if len(ranking) else 0.0
        made = (
            Drawn.of(one, self.library, 0.0 if one.known else one.score - most, asked.held)
            for one in ranking
        )
        return Answers(made, len(ranking))

    def _asked(self, request: SampleRequest, number: int) -> Asked:
        largest = LARGEST if request.symmetric else max(map(sum, self.library.counts))
        return Asked.of(request, number, largest)

    def _nothing(self, request: SampleRequest, number: int) -> str:
        task, wished = request.task, wished_in(request, number)
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
