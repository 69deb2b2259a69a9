"""Rigid building blocks in frames of their own, and crystals that are made of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.constants import GATE_DISTANCE, NUM_SPECIES
from ase_crysdiff.errors import InputError
from ase_crysdiff.frameworks.superposing import principal_axes

Array = NDArray[np.float64]
Species = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BuildingBlock:
    """A rigid body in its own frame: centre at the origin, principal axes along x, y and z.

    Args:
        species: Atomic numbers, shape (atoms,).
        positions: Å, shape (atoms, 3).

    Raises:
        InputError: If it has no atoms, an element that no network knows, places that are not
            finite, or two atoms on each other.
    """

    species: Species
    positions: Array

    def __post_init__(self) -> None:
        if not len(self.species):
            raise InputError("A building block has no atoms. Leave it out.")
        unknown = self.species[(self.species < 1) | (self.species >= NUM_SPECIES)]
        if len(unknown):
            raise InputError(
                f"A building block has the atomic number {unknown[0]}; elements from 1 to "
                f"{NUM_SPECIES - 1} are known."
            )
        if self.positions.shape != (len(self.species), 3):
            raise InputError(
                f"A building block of {len(self.species)} atoms needs as many positions of three "
                f"numbers, got an array of shape {self.positions.shape}."
            )
        if not np.isfinite(self.positions).all():
            raise InputError("A building block has an atom at a place that is not finite.")
        gaps = np.linalg.norm(self.positions[:, None] - self.positions[None], axis=-1)
        np.fill_diagonal(gaps, np.inf)
        if gaps.min() < GATE_DISTANCE:
            i, j = np.unravel_index(gaps.argmin(), gaps.shape)
            raise InputError(
                f"Atoms {min(i, j)} and {max(i, j)} of a building block overlap: they are "
                f"{gaps.min():.2f} Å apart, {GATE_DISTANCE} at least are needed."
            )

    def __len__(self) -> int:
        return len(self.species)

    @staticmethod
    def of(species: Species, positions: Array) -> "tuple[BuildingBlock, Array, Array]":
        """A block from atoms anywhere in space, the centre that it had, and the rotation, with
        positions = centre + block.positions @ rotation.T.

        Args:
            species: Atomic numbers.
            positions: Å, shape (atoms, 3).
        """
        species = np.asarray(species, dtype=np.int64)
        positions = np.asarray(positions, dtype=np.float64)
        block = BuildingBlock(species, positions)
        centre = positions.mean(0)
        axes = principal_axes(block.species, positions - centre)
        return BuildingBlock(species, (positions - centre) @ axes), centre, axes


@dataclass(frozen=True, eq=False)
class Framework:
    """A crystal as rigid blocks with places.

    Args:
        lattice: Rows in Å, shape (3, 3).
        blocks: The blocks, in frames of their own; those that are alike have like frames.
        centres: Fractional coordinates of their centres, shape (blocks, 3).
        rotations: Their rotations, shape (blocks, 3, 3).
        kinds: Of each block the place of the first one that is like it, shape (blocks,).
        symmetries: Of each block the rotations that map it onto itself, each of shape (ways, 3, 3).
        sites: Of each block the places of its atoms in the crystal that was cut.
    """

    lattice: Array
    blocks: tuple[BuildingBlock, ...]
    centres: Array
    rotations: Array
    kinds: NDArray[np.int64]
    symmetries: tuple[Array, ...]
    sites: tuple[NDArray[np.int64], ...]

    @property
    def species(self) -> Species:
        """Atomic numbers, in the order that the atoms had before the crystal was cut."""
        return np.concatenate([block.species for block in self.blocks])[self._order]

    @property
    def frac_coords(self) -> Array:
        """Fractional coordinates in [0, 1), in the same order."""
        inverse = np.linalg.inv(self.lattice)
        placed = zip(self.blocks, self.centres, self.rotations, strict=True)
        parts = [
            centre + (block.positions @ rotation.T) @ inverse for block, centre, rotation in placed
        ]
        return np.concatenate(parts)[self._order] % 1.0

    @property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(np.concatenate(self.sites))
