"""Conventional cells that are given with a centred space group: crystals are drawn in the primitive
cell and come back in the cell that was given.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.tasks.base import Matrix
from ase_crysdiff.symmetry.settings import fits_group, primitive_setting
from ase_crysdiff.symmetry.tables import space_group
from pymatgen_ext.cells import CellMap


@dataclass(frozen=True)
class ConventionalCell:
    """A conventional cell and its primitive one.

    Args:
        given: The user's cell.
        primitive: The primitive cell, in which crystals are drawn.
        multiple: Rows of the given cell as whole-number combinations of the primitive rows.
    """

    given: Lattice
    primitive: CellMap
    multiple: NDArray[np.int64]

    @staticmethod
    def of(group: int, given: Lattice) -> "ConventionalCell | None":
        """The map of a cell that is conventional for a centred group, its axes in any order; None
        if it is no such cell.

        Args:
            group: Number of the space group.
            given: The user's cell.
        """
        centring = space_group(group).primitive
        if abs(np.linalg.det(centring)) > 0.99:
            return None
        for axes in _turns():
            rows = centring @ axes
            lattice = rows @ given.matrix
            if fits_group(group, lattice):
                cell = CellMap.of(lattice)
                change = primitive_setting(group, np.array(cell.niggli.matrix))
                multiple = np.rint(np.linalg.inv(rows)).astype(np.int64)
                return ConventionalCell(given, cell.in_setting(change), multiple)
        return None

    @property
    def niggli_rows(self) -> Matrix:
        """Rows of the cell that crystals are drawn in, Å."""
        return self.primitive.niggli_rows

    def share(self, name: str, count: int) -> int:
        """What of a number that is asked for the given cell the primitive one holds.

        Args:
            name: Of the keyword, for messages.
            count: Formula units or atoms.

        Raises:
            InputError: If it cannot be divided among the lattice points.
        """
        points = round(abs(float(np.linalg.det(self.multiple))))
        if count % points:
            raise InputError(
                f"The given lattice is a conventional cell with {points} lattice points, so that "
                f"{name} must be a multiple of {points}, got {count}. Give the primitive cell for "
                "other numbers."
            )
        return count // points

    def structure(self, crystal: CrystalBatch, properties: Mapping[str, Any]) -> Structure:
        """A crystal, a batch of one, drawn in the primitive cell, in the cell that was given."""
        drawn = self.primitive.structure(crystal, properties)
        whole = drawn.make_supercell(self.multiple.tolist(), in_place=False)
        return Structure(
            self.given, whole.species, whole.frac_coords % 1.0, properties=drawn.properties
        )


def _turns() -> Iterator[NDArray[np.int64]]:
    """The 24 ways to name right-handed axes, as they are first."""
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            turn = np.diag(signs) @ np.eye(3, dtype=np.int64)[list(order)]
            if round(float(np.linalg.det(turn))) == 1:
                yield turn
