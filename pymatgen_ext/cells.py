"""Between a user's cell and the Niggli cell that the networks know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff.constants import GATE_DISTANCE, GATE_VOLUME
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.tasks.base import Matrix


def rows_of(matrix: ArrayLike) -> Matrix:
    """Rows of three numbers as plain tuples."""
    return tuple((float(a), float(b), float(c)) for a, b, c in np.asarray(matrix))


@runtime_checkable
class CellTransform(Protocol):
    """The way from a crystal in the networks' cell to a structure in the user's."""

    def structure(self, crystal: CrystalBatch, properties: Mapping[str, Any]) -> Structure:
        """A crystal, a batch of one, as a structure with these properties."""
        ...


@dataclass(frozen=True)
class CellMap:
    """A user's cell, its Niggli cell, and the exact integer matrix between them.

    Args:
        given: The user's cell.
        niggli: Its Niggli cell.
        matrix: Rows of the given cell as whole-number combinations of the Niggli rows; determinant
            ±1.
    """

    given: Lattice
    niggli: Lattice
    matrix: NDArray[np.int64]

    @staticmethod
    def of(cell: Lattice | ArrayLike) -> "CellMap":
        """The map of a cell.

        Raises:
            InputError: If the cell is no usable 3 × 3 matrix.
        """
        try:
            given = cell if isinstance(cell, Lattice) else Lattice(np.array(cell, dtype=float))
        except ValueError as error:
            raise InputError(
                f"lattice must be a pymatgen Lattice or 3 × 3 numbers in Å: {error}."
            ) from error
        matrix = np.array(given.matrix)
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < GATE_VOLUME:
            raise InputError(
                f"The lattice has no finite volume above {GATE_VOLUME} Å³: {matrix.tolist()}."
            )
        if (1 / np.linalg.norm(np.linalg.inv(matrix), axis=0)).min() < 1e-3 * GATE_DISTANCE:
            raise InputError("The lattice is too skewed to be reduced. Give a reduced cell.")
        niggli = given.get_niggli_reduced_lattice()
        mapping = niggli.find_mapping(given, ltol=1e-5, atol=1e-3)
        if mapping is None:
            raise InputError(
                "The Niggli cell of the lattice could not be found; give a reduced cell."
            )
        return CellMap(given, niggli, np.rint(mapping[2]).astype(np.int64))

    @property
    def niggli_rows(self) -> Matrix:
        """Rows of the Niggli cell, Å."""
        return rows_of(self.niggli.matrix)

    def back(self, structure: Structure) -> Structure:
        """A structure sampled in the Niggli cell, in the user's cell."""
        frac_coords = structure.frac_coords @ np.linalg.inv(self.matrix)
        return Structure(
            self.given, structure.species, frac_coords % 1.0, properties=structure.properties
        )

    def structure(self, crystal: CrystalBatch, properties: Mapping[str, Any]) -> Structure:
        """A crystal, a batch of one, drawn in the Niggli cell, as a structure in the user's
        cell.
        """
        return self.back(to_structures(crystal, [dict(properties)])[0])


@dataclass(frozen=True)
class HostCell:
    """The way back from a filled host in its Niggli cell to the user's cell and sites.

    Args:
        cell: The user's cell.
        host: The host as the user gave it.
        relax_cell: Whether the cell that was drawn replaces the user's.
    """

    cell: CellMap
    host: Structure
    relax_cell: bool = False

    def structure(self, crystal: CrystalBatch, properties: Mapping[str, Any]) -> Structure:
        """The host's sites, untouched and in their order, then the guests; site property
        `crysdiff_role` tells them apart.
        """
        count = len(self.host)
        frac_coords = crystal.frac_coords.double().numpy() @ np.linalg.inv(self.cell.matrix) % 1.0
        frac_coords[:count] = self.host.frac_coords.reshape(-1, 3)
        lattice = (
            self._relaxed(crystal.lattice[0].double().numpy())
            if self.relax_cell
            else self.host.lattice
        )
        species = [Element.from_Z(int(z)) for z in crystal.species]
        roles = ["host"] * count + ["guest"] * (len(species) - count)
        return Structure(
            lattice,
            species,
            frac_coords,
            site_properties={"crysdiff_role": roles},
            properties=dict(properties),
        )

    def _relaxed(self, niggli: NDArray[np.float64]) -> Lattice:
        """The drawn cell in the user's setting, turned as closely as possible into the user's
        orientation.
        """
        drawn = self.cell.matrix @ niggli
        left, _, right = np.linalg.svd(drawn.T @ self.host.lattice.matrix)
        return Lattice(drawn @ left @ right)
