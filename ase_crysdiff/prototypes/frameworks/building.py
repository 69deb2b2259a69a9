"""From frameworks that were cut into blocks to a library."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.frameworks.batch import FrameworkBatch
from ase_crysdiff.frameworks.blocks import Array, BuildingBlock
from ase_crysdiff.geometry import rotations as turning
from ase_crysdiff.geometry.lattice import to_parameters
from ase_crysdiff.progress import tqdm
from ase_crysdiff.prototypes.frameworks.kinds import BlockKinds
from ase_crysdiff.prototypes.frameworks.library import MOST_BLOCKS, Arrangement, FrameworkLibrary

#: Relative difference of edges, and degrees, within which two cells of the same blocks are one.
_EDGES, _ANGLES = 0.02, 2.0


def build(
    frameworks: FrameworkBatch, names: Sequence[str], *, progress: bool | None = None
) -> FrameworkLibrary:
    """A library of frameworks.

    Of those with the same blocks in the same cell, such as one that was measured twice, the first
    stays. Left out are frameworks of more than 255 blocks.

    Args:
        frameworks: Cut into their blocks, in Niggli cells.
        names: What they are called where they come from.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If no framework is left.
    """
    kinds = _Kinds()
    kept: list[Arrangement] = []
    cells: defaultdict[bytes, list[Array]] = defaultdict(list)
    disable = None if progress is None else not progress
    for row, name in enumerate(tqdm(names, desc="library", unit=" frameworks", disable=disable)):
        one = frameworks.select([row])
        if int(one.blocks.num_blocks) > MOST_BLOCKS:
            continue
        found = _arrangement(one, name, kinds)
        lengths, angles = to_parameters(one.lattice.double())
        cell = np.concatenate([lengths[0].log() / _EDGES, angles[0] / _ANGLES])
        same = cells[np.sort(found.kinds).tobytes()]
        if all(np.abs(cell - other).max() > 1 for other in same):
            same.append(cell)
            kept.append(found)
    if not kept:
        raise InputError("No framework is left for a library. Give others.")
    used = np.unique(np.concatenate([one.kinds for one in kept]))
    place = {int(kind): new for new, kind in enumerate(used)}
    renumbered = [
        Arrangement(
            one.name,
            one.lattice,
            np.array([place[int(k)] for k in one.kinds]),
            one.centres,
            one.rotations,
        )
        for one in kept
    ]
    return FrameworkLibrary.made(BlockKinds([kinds.blocks[k] for k in used]), renumbered)


class _Kinds:
    """Kinds of blocks, which grow while frameworks are looked at."""

    def __init__(self) -> None:
        self.blocks: list[BuildingBlock] = []
        self._by_formula: defaultdict[bytes, list[int]] = defaultdict(list)

    def of(self, block: BuildingBlock) -> tuple[int, Array]:
        """The kind of a block, a new one if need be, and the rotation that lays it upon the block
        of that kind.
        """
        several = self._by_formula[np.sort(block.species).tobytes()]
        alike = BlockKinds([self.blocks[k] for k in several]).alike(block)
        for place, turn in alike.items():
            return several[place], turn
        several.append(len(self.blocks))
        self.blocks.append(block)
        return several[-1], np.eye(3)


def _arrangement(one: FrameworkBatch, name: str, kinds: _Kinds) -> Arrangement:
    """A framework, a batch of one, with its blocks as kinds."""
    blocks = one.blocks
    parts = zip(
        blocks.block_species.split(blocks.block_atoms.tolist()),
        blocks.block_positions.double().split(blocks.block_atoms.tolist()),
        strict=True,
    )
    own = [BuildingBlock(species.numpy(), positions.numpy()) for species, positions in parts]
    first = {kind: kinds.of(own[kind]) for kind in dict.fromkeys(blocks.block_kinds.tolist())}
    numbers, turns = zip(*(first[kind] for kind in blocks.block_kinds.tolist()), strict=True)
    frames = turning.to_matrix(one.rotations.double())
    rotations = frames @ torch.tensor(np.array(turns)).transpose(-1, -2)
    return Arrangement(
        name,
        one.lattice[0].double().numpy(),
        np.array(numbers),
        one.centres.double().numpy(),
        rotations.numpy(),
    )
