"""Known frameworks with other building blocks in their places, as a sampler."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ase_crysdiff.constants import DRAWN
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.reduction import Cell, batch_of
from ase_crysdiff.crystal.soundness import unsound
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.frameworks.blocks import BuildingBlock
from ase_crysdiff.models.card import Card
from ase_crysdiff.prototypes.frameworks.kinds import Scale
from ase_crysdiff.prototypes.frameworks.library import FrameworkLibrary
from ase_crysdiff.prototypes.frameworks.placing import assembled
from ase_crysdiff.prototypes.frameworks.retrieval import Candidate, Wanted, candidates
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import Answers
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.framework_sampler import described
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.assemble import Assemble

#: Cells whose candidates are remembered.
_REMEMBERED = 1024


@dataclass(frozen=True)
class _Found:
    """A framework that was assembled, and from which."""

    cell: Cell
    template: str
    distance: float


class FrameworkPrototypeSampler(Sampler):
    """Draws from a library of known frameworks: draw i has the blocks in the places of those of
    the framework of rank i, whatever the seed.

    Args:
        library: The frameworks.
        card: Of the library.
    """

    card: Card

    def __init__(self, library: FrameworkLibrary, card: Card) -> None:
        self.library, self.card = library, card
        self.scale = Scale(**card.config["scale"])
        self.capabilities = Capabilities(
            tasks=frozenset({Assemble}),
            constraints=frozenset({"building_blocks", "known"}),
            known_elements=library.elements,
            finds_species=False,
            deterministic=frozenset({Assemble}),
        )
        self._answers = lru_cache(maxsize=_REMEMBERED)(self._ranked)

    def check(self, request: SampleRequest) -> None:
        super().check(request)
        if request.conditions:
            raise IncompatibleError(
                f"{self.name!r} puts rigid blocks into known places and takes no conditions, which "
                "move atoms."
            )
        assert isinstance(request.task, Assemble)
        for blocks in request.task.cells:
            if not len(self.library.rows_of(len(blocks))):
                raise IncompatibleError(
                    f"{self.name!r} knows no framework of {len(blocks)} building blocks. Take "
                    "'mofflow', which needs none."
                )

    def evaluations(self, request: SampleRequest) -> int:
        return 0

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        assert isinstance(request.task, Assemble)
        cells, known = request.task.cells, request.known is not False
        drawn: list[_Found | None] = []
        failures: dict[int, str] = {}
        for place, index in enumerate(streams.indices):
            rank, number = divmod(index, len(cells))
            answers = self._answers(cells[number], known)
            drawn.append(answers.at(rank))
            if drawn[-1] is None:
                failures[place] = answers.missing()
        ranks = [index // len(cells) for index in streams.indices]
        said: dict[str, list[Any]] = {
            "blocks": [described(own) for own in request.task.of(streams)],
            "template": [one and one.template for one in drawn],
            "rank": ranks,
            "block_distance": [one and round(one.distance, 4) for one in drawn],
        }
        return Sampled(_batch(drawn), said, failures)

    def _ranked(self, blocks: tuple[BuildingBlock, ...], known: bool) -> Answers[_Found]:
        """Assembled frameworks of some blocks, in the order of their candidates."""
        wanted = Wanted.of(blocks, self.library, self.scale)
        ranking = candidates(self.library, wanted, known=known)
        return Answers(self._made(wanted, ranking), len(ranking))

    def _made(self, wanted: Wanted, ranking: Sequence[Candidate]) -> Iterator[_Found | None]:
        for one in ranking:
            cell = assembled(self.library, wanted, one)
            if unsound(cell.lattice, cell.frac_coords, cell.species, DRAWN) is None:
                yield _Found(cell, self.library.names[one.row], one.distance)
            else:
                yield None


def _batch(drawn: Sequence[_Found | None]) -> CrystalBatch:
    """The crystals; an empty one stands where there is none."""
    nothing = Cell(np.eye(3), np.zeros((0, 3)), np.zeros(0, np.int64))
    return batch_of([nothing if one is None else one.cell for one in drawn])
