"""A crystal repeated along its axes, and what its symmetry says of displaced atoms there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from ase_crysdiff.symmetry.operations import Floats, Ints, Operations

#: Numbers of repeats along the three axes.
Repeats = tuple[int, int, int]
#: Two directions are the same if their unit vectors differ by less, and a set of directions spans
#: no more than its singular values above this.
_SAME = 1e-4


def repeats_of(lattice: Floats, num_atoms: int, min_length: float, max_atoms: int) -> Repeats:
    """How often a cell is repeated along its axes: a power of two, since the distortions that
    double an axis, by far the most frequent ones, are seen in even numbers of cells alone.

    Args:
        lattice: Rows, Å.
        num_atoms: Of the cell.
        min_length: The thickness that repeats reach, Å.
        max_atoms: Of all repeats; where they are more, the thickest directions are halved, equal
            ones together. The cell itself may have more.
    """
    widths = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    powers = [max(0, math.ceil(math.log2(min_length / width) - 1e-6)) for width in widths]
    repeats = 2 ** np.array(powers)
    while num_atoms * repeats.prod() > max_atoms and repeats.max() > 1:
        thickness = np.where(repeats > 1, repeats * widths, 0.0)
        repeats[np.isclose(thickness, thickness.max(), rtol=1e-3)] //= 2
    first, second, third = repeats.tolist()
    return first, second, third


@dataclass(frozen=True)
class Displacement:
    """One atom moved along one direction.

    Args:
        atom: Of the cell.
        direction: Cartesian unit vector.
        opposite: The operation that turns the move into its opposite, which then needs no
            computation; None if there is none.
    """

    atom: int
    direction: Floats
    opposite: int | None


@dataclass(frozen=True, eq=False)
class Supercell:
    """Repeats of a crystal: cell after cell, the last axis first, and in each the atoms in their
    order, as `ase.Atoms.repeat` has them.

    Args:
        lattice: Rows of the cell, Å.
        frac_coords: Of the atoms of the cell, exactly as symmetric as the operations; shape
            (atoms, 3).
        symmetry: Operations of the crystal in its cell.
        repeats: Along the axes.
    """

    lattice: Floats
    frac_coords: Floats
    symmetry: Operations
    repeats: Repeats

    @cached_property
    def operations(self) -> Operations:
        """Those that take the repeats to themselves: unlike numbers of repeats may lack some."""
        numbers = np.array(self.repeats)
        turned = self.symmetry.rotations * numbers[None, None] / numbers[None, :, None]
        kept = (np.abs(turned - np.rint(turned)) < _SAME).all((1, 2))
        given = self.symmetry
        return Operations(given.rotations[kept], given.translations[kept], given.permutations[kept])

    @cached_property
    def rotations(self) -> Floats:
        """Of the operations, for columns of Cartesian vectors, shape (operations, 3, 3)."""
        return self.lattice.T @ self.operations.rotations @ np.linalg.inv(self.lattice).T

    def image(self, operation: int, atom: int) -> Ints:
        """Where an operation takes every atom of the repeats if it takes this atom of the first
        cell to its image in the first cell; shape (repeats * atoms,).
        """
        turn, goes = (
            self.operations.rotations[operation],
            self.operations.permutations[operation],
        )
        offsets = self.frac_coords - self.frac_coords[atom]
        ends = self.frac_coords[goes] - self.frac_coords[goes[atom]]
        cells = np.array(list(product(*map(range, self.repeats))))
        moved = (cells[:, None] + offsets) @ turn.T - ends
        numbers = np.array(self.repeats)
        places = np.rint(moved).astype(np.int64) % numbers
        return (
            np.ravel_multi_index(np.moveaxis(places, -1, 0), self.repeats) * len(goes) + goes
        ).ravel()

    @cached_property
    def displacements(self) -> list[Displacement]:
        """The fewest that, with their images under the symmetry, move every atom along three axes:
        of each set of equivalent atoms the first, along directions between lattice points.
        """
        found = []
        for atom in np.unique(self.operations.orbits).tolist():
            spanned = np.zeros((0, 3))
            while len(spanned) < 3 or np.linalg.svd(spanned, compute_uv=False)[2] < _SAME:
                best = max(
                    (self._gain(atom, axis, spanned) for axis in self._axes), key=lambda g: g[0]
                )
                spanned = np.concatenate([spanned, best[2]])
                found.append(best[1])
        return found

    @cached_property
    def _axes(self) -> list[Floats]:
        """Unit vectors between lattice points of neighbouring cells, without opposites."""
        steps = [s for s in product((1, 0, -1), repeat=3) if s > (0, 0, 0)]
        vectors = np.array(steps) @ self.lattice
        return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    @property
    def steps(self) -> list[tuple[int, Floats]]:
        """What must be computed: atoms of the first cell, and the unit vectors along which they
        are moved.
        """
        return [
            (move.atom, sign * move.direction)
            for move in self.displacements
            for sign in ((1,) if move.opposite is not None else (1, -1))
        ]

    def differences(self, forces: Sequence[Floats]) -> Floats:
        """Half of the difference between the forces after a displacement and after its opposite.

        Args:
            forces: On all atoms after each of the steps, shape (repeats * atoms, 3) each.

        Returns:
            Shape (displacements, repeats * atoms, 3).
        """
        rest, found = iter(forces), []
        for move in self.displacements:
            forth = next(rest)
            if move.opposite is None:
                back = next(rest)
            else:
                back = np.empty_like(forth)
                turned = forth @ self.rotations[move.opposite].T
                back[self.image(move.opposite, move.atom)] = turned
            found.append((forth - back) / 2)
        return np.array(found)

    def stabiliser(self, atom: int) -> list[int]:
        """Operations that leave an atom of the cell where it is, lattice vectors apart."""
        return np.nonzero(self.operations.permutations[:, atom] == atom)[0].tolist()

    def _gain(
        self, atom: int, axis: Floats, spanned: Floats
    ) -> tuple[tuple[int, bool, float], Displacement, Floats]:
        """What one more direction brings: how many axes are spanned then, whether its opposite
        comes with it, and how well the last of these axes is; with its images.
        """
        kept = self.stabiliser(atom)
        images = self.rotations[kept] @ axis
        turned = np.linalg.norm(images + axis, axis=1) < _SAME
        opposite = kept[int(turned.argmax())] if turned.any() else None
        sizes = np.linalg.svd(np.concatenate([spanned, images]), compute_uv=False)
        rank = int((sizes > _SAME).sum())
        worth = (rank, opposite is not None, round(float(sizes[rank - 1]), 6))
        return worth, Displacement(atom, axis, opposite), images


def force_constants(supercell: Supercell, responses: Floats) -> Floats:
    """Force constants between each atom of the first cell and all atoms of the repeats, from the
    forces that displaced atoms bring about; they have the symmetry of the crystal.

    Args:
        supercell: The repeats.
        responses: Change of the forces on all atoms per length of each displacement, central
            differences, eV/Å², shape (displacements, repeats * atoms, 3).

    Returns:
        C[a, j] = ∂²E/∂x_j∂x_a, eV/Å², shape (atoms, repeats * atoms, 3, 3).
    """
    operations, turns = supercell.operations, supercell.rotations
    count = operations.num_atoms
    found = np.zeros((count, responses.shape[1], 3, 3))
    for atom in np.unique(operations.orbits).tolist():
        moves, forces = [], []
        for move, response in zip(supercell.displacements, responses, strict=True):
            if move.atom != atom:
                continue
            for g in supercell.stabiliser(atom):
                turned = np.empty_like(response)
                turned[supercell.image(g, atom)] = response @ turns[g].T
                moves.append(turns[g] @ move.direction)
                forces.append(turned)
        inverse = np.linalg.pinv(np.array(moves))
        own = -np.einsum("km,mjl->jlk", inverse, np.array(forces))
        for other in np.nonzero(operations.orbits == atom)[0].tolist():
            g = int(np.argmax(operations.permutations[:, atom] == other))
            found[other, supercell.image(g, atom)] = turns[g] @ own @ turns[g].T
    return found
