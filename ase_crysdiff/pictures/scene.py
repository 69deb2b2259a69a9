"""What is seen of a crystal: balls, bonds and the cell, seen from slightly above."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

Points: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.int64]

#: Pairs below this multiple of the sum of their covalent radii are joined.
_BOND = 1.15
#: So are pairs below this distance, Å: the molecule of hydrogen is longer than its radii say.
_SHORT = 0.85
#: Larger cells are shown without the copies of atoms on faces and edges, and without bonds.
MANY = 60
#: Atoms this close to a face, in fractions of the cell, lie on it.
_ON_FACE = 0.02
_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
#: Pairs of corners that an edge of the cell joins.
EDGES = tuple(
    (a, b) for a in range(8) for b in range(a) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1
)


@dataclass(frozen=True, eq=False)
class Scene:
    """A crystal in space, Å; the axes are right, up and toward the eye.

    Args:
        atoms: Atoms that are shown, shape (atoms, 3). Those on a face, an edge or a corner of the
            cell are there with all their copies, as in textbooks.
        numbers: Their atomic numbers, shape (atoms,).
        bonds: Pairs of atoms that are joined, shape (bonds, 2).
        corners: Of the cell, shape (8, 3); `EDGES` joins them. The first is the origin.
    """

    atoms: Points
    numbers: Numbers
    bonds: Numbers
    corners: Points

    @staticmethod
    def of(structure: Structure) -> "Scene":
        """The scene of an ordered crystal."""
        fractions, numbers = _shown_atoms(structure)
        matrix = structure.lattice.matrix
        turn = _view(matrix)
        atoms = fractions @ matrix @ turn
        bonds = (
            _bonds(atoms, numbers) if len(structure) <= MANY else np.zeros((0, 2), dtype=np.int64)
        )
        return Scene(atoms, numbers, bonds, _CORNERS @ matrix @ turn)

    @cached_property
    def radii(self) -> Points:
        """Of the balls, Å, shape (atoms,)."""
        radii: Points = 0.45 * covalent_radii[self.numbers] + 0.1
        return radii

    @cached_property
    def extent(self) -> tuple[Points, Points]:
        """Lower left and upper right corner of what is seen, Å, each of shape (2,)."""
        points = np.concatenate([self.corners, self.atoms])[:, :2]
        reach = np.concatenate([np.zeros(8), self.radii])[:, None]
        return (points - reach).min(0), (points + reach).max(0)

    @cached_property
    def edges(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Edges of the cell behind the crystal, those that meet in the farthest corner, and all
        others.
        """
        hidden = int(np.argmin(self.corners[:, 2]))
        back = [edge for edge in EDGES if hidden in edge]
        return back, [edge for edge in EDGES if hidden not in edge]


def element_colours(structure: Structure) -> dict[str, str]:
    """The elements of a crystal by atomic number, with the colours of their balls."""
    numbers = sorted({site.specie.Z for site in structure})
    return {chemical_symbols[z]: colour(z) for z in numbers}


def colour(number: int) -> str:
    """Of the ball of an element, as Jmol has it, #rrggbb."""
    table = jmol_colors[number] if number < len(jmol_colors) else (0.6, 0.6, 0.6)
    return "#" + "".join(f"{round(255 * float(c)):02x}" for c in table)


def _shown_atoms(structure: Structure) -> tuple[Points, Numbers]:
    """Fractional coordinates and atomic numbers of all copies that are shown."""
    inside = structure.frac_coords % 1
    inside = np.where(np.abs(inside - 1) < _ON_FACE, 0.0, inside)
    numbers = np.array([site.specie.Z for site in structure], dtype=np.int64)
    if len(structure) > MANY:
        return inside, numbers
    near = np.abs(inside) < _ON_FACE
    atom, copy = np.nonzero((near[:, None] >= _CORNERS).all(axis=2))
    return inside[atom] + _CORNERS[copy], numbers[atom]


def _view(matrix: Points) -> Points:
    """Columns: right, up and toward the eye; c points up, and a nearly toward the eye."""
    up = matrix[2] / np.linalg.norm(matrix[2])
    right = np.cross(up, matrix[0])
    right /= np.linalg.norm(right)
    toward = np.cross(right, up)
    yaw, pitch = math.radians(24), math.radians(14)
    toward, right = (
        math.cos(yaw) * toward + math.sin(yaw) * right,
        math.cos(yaw) * right - math.sin(yaw) * toward,
    )
    toward, up = (
        math.cos(pitch) * toward + math.sin(pitch) * up,
        math.cos(pitch) * up - math.sin(pitch) * toward,
    )
    turn: Points = np.stack([right, up, toward], axis=1)
    return turn


def _bonds(atoms: Points, numbers: Numbers) -> Numbers:
    """Pairs within the reach of their covalent radii; two metals are joined in crystals of metals
    alone, since beside non-metals their radii reach each other without a bond.
    """
    radii = covalent_radii[numbers]
    distances = np.linalg.norm(atoms[:, None] - atoms[None], axis=-1)
    reach = np.maximum(_BOND * (radii[:, None] + radii[None]), _SHORT)
    joined = (distances < reach) & (distances > 0.1)
    is_metal = np.array([Element.from_Z(int(z)).is_metal for z in numbers])
    if not is_metal.all():
        joined &= ~(is_metal[:, None] & is_metal[None])
    pairs: Numbers = np.argwhere(np.triu(joined, 1))
    return pairs
