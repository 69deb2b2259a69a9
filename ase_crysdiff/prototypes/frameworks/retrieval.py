"""Which known frameworks suit given building blocks, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ase_crysdiff.frameworks.blocks import Array, BuildingBlock
from ase_crysdiff.prototypes.frameworks.kinds import Ints, Scale
from ase_crysdiff.prototypes.frameworks.library import FrameworkLibrary

#: Frameworks that are looked at in full, those that could be nearest.
_LOOKED_AT = 200
#: What keeps a block that is nearly alike from being taken for one that is.
_UNLIKE = 0.05
#: Relative differences of edges, and degrees, within which cells are about the same.
_SAME_CELL = np.array([0.05] * 3 + [5.0] * 3)


@dataclass(frozen=True)
class Candidate:
    """A framework whose blocks are exchanged.

    Args:
        row: In the library.
        places: Of each given block the place in the framework that it takes.
        distance: Mean distance of the given blocks from those whose places they take; 0 where all
            are alike.
    """

    row: int
    places: tuple[int, ...]
    distance: float

    @property
    def known(self) -> bool:
        """Whether the framework has just these blocks."""
        return self.distance == 0.0


@dataclass(frozen=True)
class Wanted:
    """Given blocks, and how they compare with the kinds of a library.

    Args:
        blocks: In the order in which they are given.
        turns: Of each block the kinds that it can be laid upon, with the rotation.
        distances: From each kind, 0 for those, shape (blocks, kinds).
    """

    blocks: tuple[BuildingBlock, ...]
    turns: tuple[dict[int, Array], ...]
    distances: Array

    @staticmethod
    def of(blocks: Sequence[BuildingBlock], library: FrameworkLibrary, scale: Scale) -> "Wanted":
        """Blocks that are the same object are compared once."""
        kinds = library.kinds
        turns = {id(block): kinds.alike(block) for block in blocks}
        rows = {}
        for block in blocks:
            row = kinds.distances(block, scale) + _UNLIKE
            row[list(turns[id(block)])] = 0.0
            rows[id(block)] = row
        return Wanted(
            tuple(blocks),
            tuple(turns[id(block)] for block in blocks),
            np.array([rows[id(block)] for block in blocks]),
        )


def candidates(library: FrameworkLibrary, wanted: Wanted, *, known: bool = True) -> list[Candidate]:
    """The frameworks with as many blocks, the nearest first, at most 200; those in about the same
    cell as a nearer one come after all others.

    Each block takes the place of one, such that the sum of the distances is least; distances are
    those of `BlockKinds.distances`. Like ones are in the order of the library.

    Args:
        library: Known frameworks.
        wanted: The blocks.
        known: Whether frameworks with just these blocks count.
    """
    rows = library.rows_of(len(wanted.blocks))
    if not len(rows):
        return []
    kinds = library.kinds_of(rows)
    # At least the distance from the nearest block, whoever else takes it; of both sides.
    least = np.maximum(
        _least(wanted.distances, kinds).mean(-1),
        wanted.distances.min(0)[kinds].mean(-1),
    )
    found = []
    for place in np.argsort(least, kind="stable")[:_LOOKED_AT]:
        cost = wanted.distances[:, kinds[place]]
        _, taken = linear_sum_assignment(cost)
        mean = float(cost[np.arange(len(taken)), taken].mean())
        found.append(Candidate(rows[int(place)], tuple(taken.tolist()), mean))
    found.sort(key=lambda one: one.distance)
    return _varied(library, [one for one in found if known or not one.known])


def _varied(library: FrameworkLibrary, ranked: Sequence[Candidate]) -> list[Candidate]:
    """Candidates in about the same cell as an earlier one come last, in their order."""
    first: list[Candidate] = []
    again: list[Candidate] = []
    cells = np.zeros((0, 6))
    for one in ranked:
        cell = library.cell(one.row) / _SAME_CELL
        if (np.abs(cells - cell).max(-1) < 1).any():
            again.append(one)
        else:
            first.append(one)
            cells = np.concatenate([cells, cell[None]])
    return first + again


def _least(distances: Array, kinds: Ints) -> Array:
    """Of each framework and block the distance from its nearest kind, shape (rows, blocks)."""
    return np.stack([row[kinds].min(-1) for row in distances], -1)
