"""Crystals in one cell, whatever cell they came in: primitive, then Niggli-reduced, in about a
millisecond.

pymatgen's reduction takes several times as long as a property network and, with its tolerance of
0.25 Å, takes some distorted supercells for the undistorted crystal. Here only translations that are
exact to `SAME` count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.constants import COMPUTABLE
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import as_structure, check_structure
from ase_crysdiff.crystal.coordinates import frac_coords_of
from ase_crysdiff.crystal.niggli import niggli_rows
from ase_crysdiff.crystal.soundness import unsound
from ase_crysdiff.crystal.translations import translations
from ase_crysdiff.errors import InputError
from ase_crysdiff.progress import tqdm

Array = NDArray[np.float64]
Species = NDArray[np.int64]

#: Atoms that a translation brings no farther from each other than this are images of each other, Å.
SAME = 0.02


@dataclass(frozen=True)
class Cell:
    """A crystal in numbers.

    Args:
        lattice: Rows in Å, shape (3, 3).
        frac_coords: In [0, 1), shape (atoms, 3).
        species: Atomic numbers, shape (atoms,).
    """

    lattice: Array
    frac_coords: Array
    species: Species

    def __len__(self) -> int:
        return len(self.species)


def reduced_cells(
    entries: Sequence[Any], progress: bool | None = None
) -> tuple[dict[int, Cell], dict[int, str]]:
    """Every crystal in its reduced cell, by position, and why the others have none.

    Args:
        entries: Structures or ASE atoms; whatever else is among them is refused.
        progress: Whether to show a progress bar; None shows one on a terminal.
    """
    cells: dict[int, Cell] = {}
    refused: dict[int, str] = {}
    disable = None if progress is None else not progress
    for position, entry in enumerate(
        tqdm(entries, desc="cells", unit=" crystals", disable=disable)
    ):
        try:
            cells[position] = reduced_cell(entry)
        except InputError as error:
            refused[position] = str(error)
    return cells, refused


def reduced_cell(entry: Any) -> Cell:
    """The primitive Niggli cell of a structure or of ASE atoms.

    Raises:
        InputError: If it is neither, or no crystal that a network can read: disordered, not
            periodic, flat, with atoms on each other or an element that no network knows.
    """
    return niggli(primitive(computable_cell(as_structure(entry))))


def computable_cell(structure: Structure) -> Cell:
    """The cell of a structure as it is given.

    Raises:
        InputError: If it is no crystal that a network can read: disordered, flat, with atoms on
            each other or an element that no network knows.
    """
    check_structure(structure)
    species = np.array([site.specie.Z for site in structure])
    cell = Cell(np.array(structure.lattice.matrix), frac_coords_of(structure), species)
    reason = unsound(cell.lattice, cell.frac_coords, cell.species, COMPUTABLE)
    if reason is not None:
        raise InputError(reason)
    return cell


def batch_of(cells: Sequence[Cell]) -> CrystalBatch:
    """A batch of cells, in their order."""
    return CrystalBatch(
        torch.tensor(np.array([c.lattice for c in cells]).reshape(-1, 3, 3), dtype=torch.float32),
        torch.tensor(
            np.concatenate([np.zeros((0, 3)), *(c.frac_coords for c in cells)]), dtype=torch.float32
        ),
        torch.tensor(
            np.concatenate([np.zeros(0, dtype=int), *(c.species for c in cells)]), dtype=torch.long
        ),
        torch.tensor([len(c) for c in cells], dtype=torch.long),
    )


def primitive(cell: Cell) -> Cell:
    """The smallest cell of a crystal; atoms that are images of each other are averaged."""
    counts = np.bincount(cell.species)
    if (
        gcd(*counts.tolist()) == 1
    ):  # a translation would map each element onto itself without a fixed atom
        return cell
    shifts, images = translations(cell.lattice, cell.frac_coords, cell.species, SAME)
    order = len(shifts) + 1
    if order == 1:
        return cell
    basis = (
        _hermite(np.rint(np.concatenate([order * np.eye(3), order * shifts])).astype(int)) / order
    )
    if abs(abs(np.linalg.det(basis)) * order - 1) > 1e-6:  # the translations form no group
        return cell
    deviations = cell.frac_coords + shifts[:, None] - cell.frac_coords[images]
    mean = cell.frac_coords - (deviations - np.rint(deviations)).sum(0) / order
    first = np.minimum(images.min(0), np.arange(len(cell))) == np.arange(len(cell))
    return Cell(
        basis @ cell.lattice, _wrapped(mean[first] @ np.linalg.inv(basis)), cell.species[first]
    )


def niggli(cell: Cell) -> Cell:
    """A crystal in its Niggli cell."""
    lattice = niggli_rows(cell.lattice)
    if lattice is None:
        raise InputError("the cell cannot be reduced: its vectors are nearly in a plane")
    change = np.rint(lattice @ np.linalg.inv(cell.lattice))
    return Cell(
        change @ cell.lattice, _wrapped(cell.frac_coords @ np.linalg.inv(change)), cell.species
    )


def _hermite(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A basis of the lattice that integer rows span, by elimination; they must span three
    dimensions.
    """
    rows = rows.copy()
    for column in range(3):
        while True:
            below = rows[column:]
            nonzero = np.nonzero(below[:, column])[0]
            pivot = nonzero[np.abs(below[nonzero, column]).argmin()]
            below[[0, pivot]] = below[[pivot, 0]]
            if len(nonzero) == 1:
                break
            below[1:] -= (below[1:, column] // below[0, column])[:, None] * below[0]
    return rows[:3]


def _wrapped(frac_coords: Array) -> Array:
    wrapped = frac_coords % 1.0
    return np.where(wrapped == 1.0, 0.0, wrapped)
