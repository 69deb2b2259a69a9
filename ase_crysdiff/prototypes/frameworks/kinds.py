"""Kinds of rigid building blocks: which are alike, and how far from each other others are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.frameworks.blocks import Array, BuildingBlock, Species
from ase_crysdiff.frameworks.cutting import is_metal
from ase_crysdiff.frameworks.superposing import superpositions

Ints = NDArray[np.int64]

#: Å by which the extents of bodies that are alike differ at most.
_EXTENT = 0.5
_HYDROGEN, _CARBON = 1, 6


@dataclass(frozen=True)
class Scale:
    """How differences of two blocks are weighed against each other.

    Args:
        extent: Å of the extents along the principal axes that count as much as one.
        atoms: Atoms, hydrogen aside, that one has and the other has not, that count as much.
        metal: Cost of an atom that is another metal.
        kind: Cost of a linker in the place of a node, or the reverse.
    """

    extent: float = 1.0
    atoms: float = 6.0
    metal: float = 0.1
    kind: float = 3.0


class BlockKinds:
    """Building blocks, each in the frame of its principal axes.

    Args:
        blocks: One of each kind.
    """

    def __init__(self, blocks: Sequence[BuildingBlock]) -> None:
        self.blocks = tuple(blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    @cached_property
    def extents(self) -> Array:
        """Root mean squares of the positions along the principal axes, Å, the longest first,
        shape (kinds, 3).
        """
        return np.array([extents(one.positions) for one in self.blocks]).reshape(-1, 3)

    @cached_property
    def contents(self) -> Array:
        """Atoms of each element by atomic number, shape (kinds, elements + 1)."""
        return np.array([contents(one.species) for one in self.blocks]).reshape(len(self), -1)

    @cached_property
    def _by_formula(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for number, one in enumerate(self.blocks):
            found.setdefault(_formula(one.species), []).append(number)
        return found

    def alike(self, block: BuildingBlock) -> dict[int, Array]:
        """The kinds that a block can be laid upon, each atom within half an ångström of one of its
        element, and the rotation that does it: `kind ≈ block.positions @ rotation.T`.
        """
        found = {}
        own = extents(block.positions)
        for number in self._by_formula.get(_formula(block.species), ()):
            other = self.blocks[number]
            if np.abs(self.extents[number] - own).max() > _EXTENT:
                continue
            turns = superpositions(
                block.species, block.positions, other.species, other.positions, most=1
            )
            if len(turns):
                found[number] = turns[0]
        return found

    def distances(self, block: BuildingBlock, scale: Scale) -> Array:
        """How far a block is from each kind, shape (kinds,): of extents and of atoms, with metals
        as one element.
        """
        mine, theirs = contents(block.species), self.contents
        shape = np.abs(self.extents - extents(block.positions)).sum(-1) / scale.extent
        same = _merged(theirs) - _merged(mine[None])
        atoms = np.abs(same).sum(-1) / scale.atoms
        metals = np.abs(theirs[:, _METALS] - mine[_METALS]).sum(-1)
        others = (metals - np.abs(same[:, 0])).clip(min=0) / 2
        role = (theirs[:, _CARBON] > 0) != (mine[_CARBON] > 0)
        return shape + atoms + scale.metal * (others > 0) + scale.kind * role


def extents(positions: Array) -> Array:
    """Root mean squares of positions about their centre along their principal axes, Å."""
    squares = np.linalg.eigvalsh(positions.T @ positions / len(positions))
    return np.sqrt(squares[::-1].clip(min=0))


def contents(species: Species) -> Array:
    """Atoms of each element by atomic number, shape (elements + 1,)."""
    return np.bincount(species, minlength=len(SYMBOLS)).astype(float)


_METALS = is_metal(np.arange(len(SYMBOLS)))
_METALS[0] = False  # no element


def _merged(counts: Array) -> Array:
    """Metals as one element, which comes first, and the others without hydrogen."""
    others = ~_METALS
    others[[0, _HYDROGEN]] = False
    return np.concatenate([counts[:, _METALS].sum(-1, keepdims=True), counts[:, others]], -1)


def _formula(species: Species) -> bytes:
    return np.sort(species).astype(np.uint8).tobytes()
