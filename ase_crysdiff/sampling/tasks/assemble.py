"""Assembly: crystals from rigid building blocks that are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.frameworks.blocks import BuildingBlock
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.tasks.base import Contents, ModelWithCard, Task, check_elements

if TYPE_CHECKING:
    from ase_crysdiff.sampling.capabilities import Capabilities


@dataclass(frozen=True)
class Assemble(Task):
    """Frameworks of given blocks, all of which each cell holds.

    Args:
        cells: The blocks of whole cells: crystal i of the run (its number in the streams, not in
            the batch) has those of i modulo their number.

    Raises:
        InputError: If there are no cells, or a cell has fewer than two blocks.
    """

    cells: tuple[tuple[BuildingBlock, ...], ...]
    verb: ClassVar[str] = "assemble building blocks"

    def __post_init__(self) -> None:
        if not self.cells:
            raise InputError("There are no building blocks. Give two at least.")
        for blocks in self.cells:
            if len(blocks) < 2:
                raise InputError(
                    f"A framework takes two building blocks at least, got {len(blocks)}. Name each "
                    "one as often as it occurs in the cell."
                )
            for block in blocks:
                if not isinstance(block, BuildingBlock):
                    raise InputError(
                        f"A building block must be a BuildingBlock, got {type(block).__name__}."
                    )

    @property
    def constraints(self) -> frozenset[str]:
        return frozenset({"building_blocks"})

    def check(self, name: str, capabilities: "Capabilities") -> None:
        super().check(name, capabilities)
        elements = {int(z) for blocks in self.cells for block in blocks for z in block.species}
        check_elements(name, capabilities, frozenset(elements))

    def of(self, streams: Streams) -> Sequence[tuple[BuildingBlock, ...]]:
        """The blocks of each crystal, one crystal per stream."""
        return [self.cells[i % len(self.cells)] for i in streams.indices]

    def contents(self, model: ModelWithCard, streams: Streams) -> Contents:
        species = [
            torch.cat([torch.as_tensor(block.species) for block in blocks])
            for blocks in self.of(streams)
        ]
        return Contents([len(numbers) for numbers in species], species)
