"""Known frameworks as arrangements of building blocks: cells, and where which block lies."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.frameworks.blocks import Array, BuildingBlock
from ase_crysdiff.geometry import rotations as turning
from ase_crysdiff.geometry.lattice import from_log_polar, log_polar, to_parameters
from ase_crysdiff.prototypes.frameworks.kinds import BlockKinds, Ints
from ase_crysdiff.shapes import Tensor

#: Tensors of a library: name and type. Atoms follow kinds, blocks follow frameworks.
TENSORS: Mapping[str, type[np.generic]] = {
    "kind_atoms": np.uint16,
    "kind_species": np.uint8,
    "kind_positions": np.int16,
    "lattice": np.float32,  # the six numbers of `geometry.lattice.log_polar`
    "num_blocks": np.uint8,
    "kind": np.uint16,
    "centre": np.uint16,
    "rotation": np.int16,
    "names": np.uint8,  # zlib-compressed lines
}
#: Parts of 1 Å, of the cell, and of 1 in which positions, centres and quaternions are kept.
_PER_ANGSTROM, _PER_CELL, _PER_UNIT = 500, 65536, 32767
#: Blocks that the cell of a framework may hold.
MOST_BLOCKS = 255


@dataclass(frozen=True)
class Arrangement:
    """A framework without its blocks: where which kinds lie.

    Args:
        name: What it is called where it comes from.
        lattice: Rows in Å, a symmetric matrix, shape (3, 3).
        kinds: Of each block, places among the kinds of the library.
        centres: Fractional coordinates, shape (blocks, 3).
        rotations: Of the frames of the kinds, shape (blocks, 3, 3).
    """

    name: str
    lattice: Array
    kinds: Ints
    centres: Array
    rotations: Array


class FrameworkLibrary:
    """Frameworks of known structure, in the order of their numbers of blocks.

    Args:
        arrays: The tensors of `TENSORS`.

    Raises:
        CheckpointError: If one is missing.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        missing = sorted(set(TENSORS) - set(arrays))
        if missing:
            raise CheckpointError(f"A library of frameworks lacks the tensors {missing}.")
        self._arrays = {name: arrays[name] for name in TENSORS}

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> "FrameworkLibrary":
        """From the tensors of a file of weights."""
        return FrameworkLibrary({name: tensor.numpy() for name, tensor in tensors.items()})

    @staticmethod
    def made(kinds: BlockKinds, arrangements: Sequence[Arrangement]) -> "FrameworkLibrary":
        """From frameworks, which may come in any order."""
        several = sorted(arrangements, key=lambda one: len(one.kinds))
        lattices = torch.tensor(np.array([one.lattice for one in several]))
        turns = torch.tensor(np.concatenate([one.rotations for one in several]))
        centres = np.concatenate([one.centres for one in several])
        positions = np.concatenate([block.positions for block in kinds.blocks])
        text = "\n".join(one.name for one in several).encode()
        return FrameworkLibrary(
            {
                "kind_atoms": np.array([len(block) for block in kinds.blocks]),
                "kind_species": np.concatenate([block.species for block in kinds.blocks]),
                "kind_positions": np.rint(positions * _PER_ANGSTROM),
                "lattice": log_polar(lattices).numpy(),
                "num_blocks": np.array([len(one.kinds) for one in several]),
                "kind": np.concatenate([one.kinds for one in several]),
                "centre": np.rint(centres * _PER_CELL) % _PER_CELL,
                "rotation": np.rint(turning.from_matrix(turns).numpy() * _PER_UNIT),
                "names": np.frombuffer(zlib.compress(text, 9), dtype=np.uint8),
            }
        )

    def tensors(self) -> dict[str, Tensor]:
        """For a file of weights."""
        return {
            name: torch.from_numpy(np.ascontiguousarray(self._arrays[name].astype(kind)))
            for name, kind in TENSORS.items()
        }

    def __len__(self) -> int:
        return len(self._arrays["num_blocks"])

    @cached_property
    def kinds(self) -> BlockKinds:
        """The building blocks that occur, one of each kind."""
        species = self._arrays["kind_species"].astype(np.int64)
        positions = self._arrays["kind_positions"].astype(float) / _PER_ANGSTROM
        ends = self._arrays["kind_atoms"].astype(np.int64).cumsum()[:-1]
        parts = zip(np.split(species, ends), np.split(positions, ends), strict=True)
        return BlockKinds([BuildingBlock(*part) for part in parts])

    @cached_property
    def elements(self) -> frozenset[int]:
        """Atomic numbers that occur."""
        return frozenset(np.unique(self._arrays["kind_species"]).tolist())

    @cached_property
    def names(self) -> list[str]:
        """What the frameworks are called where they come from."""
        text = zlib.decompress(self._arrays["names"].astype(np.uint8).tobytes()).decode()
        return text.split("\n")

    def rows_of(self, num_blocks: int) -> range:
        """The frameworks with so many blocks."""
        counts = self._arrays["num_blocks"].astype(np.int64)
        first, stop = np.searchsorted(counts, [num_blocks, num_blocks + 1])
        return range(int(first), int(stop))

    def kinds_of(self, rows: range) -> Ints:
        """Kinds of the blocks of frameworks with equally many, shape (rows, blocks)."""
        start, stop = self._starts[rows.start], self._starts[rows.stop]
        return self._arrays["kind"][start:stop].astype(np.int64).reshape(len(rows), -1)

    def arrangement(self, row: int) -> Arrangement:
        """A framework."""
        own = slice(int(self._starts[row]), int(self._starts[row + 1]))
        numbers = torch.from_numpy(self._arrays["lattice"][row : row + 1].astype(float))
        quaternions = torch.from_numpy(self._arrays["rotation"][own].astype(float))
        quaternions = quaternions / quaternions.norm(dim=-1, keepdim=True)
        return Arrangement(
            self.names[row],
            from_log_polar(numbers)[0].numpy(),
            self._arrays["kind"][own].astype(np.int64),
            self._arrays["centre"][own] / _PER_CELL,
            turning.to_matrix(quaternions).numpy(),
        )

    def cell(self, row: int) -> Array:
        """Logarithms of the edges of a framework's cell, and its angles in degrees, shape (6,)."""
        return self._cells[row]

    @cached_property
    def _cells(self) -> Array:
        lengths, angles = to_parameters(from_log_polar(torch.from_numpy(self._arrays["lattice"])))
        return torch.cat([lengths.log(), angles], -1).double().numpy()

    @cached_property
    def _starts(self) -> Ints:
        counts = self._arrays["num_blocks"].astype(np.int64)
        return np.concatenate([[0], counts.cumsum()])
