"""Between a user's cell and the Niggli cell that the networks know."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff.constants import GATE_DISTANCE, GATE_VOLUME
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import ROLE, to_structures
from ase_crysdiff.crystal.held_atoms import FLAGS
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.tasks.base import Matrix

#: How far entries of the matrix between two cells of a lattice are from whole numbers, by rounding.
_WHOLE = 1e-4


def rows_of(matrix: ArrayLike) -> Matrix:
    """Rows of three numbers as plain tuples."""
    return tuple((float(a), float(b), float(c)) for a, b, c in np.asarray(matrix))


def lattice_of(cell: Lattice | ArrayLike) -> Lattice:
    """The lattice that a user gives.

    Args:
        cell: A Lattice; rows of 3 × 3 numbers in Å; or a b c alpha beta gamma, in Å and degrees.

    Raises:
        InputError: If it is nothing of the kind, or no cell has these lengths and angles.
    """
    if isinstance(cell, Lattice):
        return cell
    try:
        array = np.array(cell, dtype=float)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape == (6,):
        return _from_parameters(*array.tolist())
    if array.shape != (3, 3):
        raise InputError(
            "lattice must be a pymatgen Lattice, 3 × 3 numbers in Å, or six numbers a b c alpha "
            f"beta gamma in Å and degrees, got {cell!r}."
        )
    return Lattice(array)


def _from_parameters(a: float, b: float, c: float, *angles: float) -> Lattice:
    cosines = [math.cos(math.radians(angle)) for angle in angles]
    # The squared volume of a cell with unit lengths.
    volume = 1 - sum(x * x for x in cosines) + 2 * math.prod(cosines)
    sound = all(math.isfinite(x) and x > 0 for x in (a, b, c, *angles)) and max(angles) < 180
    if not (sound and volume > 1e-6):
        given = " ".join(f"{x:g}" for x in (a, b, c, *angles))
        raise InputError(
            f"No cell has the lengths (Å) and angles (degrees) {given}. Give six positive numbers "
            "a b c alpha beta gamma whose angles close a cell."
        )
    return Lattice.from_parameters(a, b, c, *angles)


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
        niggli: Its Niggli cell, or the cell that crystals are drawn in instead.
        matrix: Rows of the given cell as whole-number combinations of the Niggli rows; determinant
            ±1.
    """

    given: Lattice
    niggli: Lattice
    matrix: NDArray[np.int64]

    @staticmethod
    def of(cell: Lattice | ArrayLike) -> "CellMap":
        """The map of a cell: a Lattice, 3 × 3 numbers in Å, or three lengths in Å and three angles
        in degrees.

        Raises:
            InputError: If it is nothing of the kind, or no usable cell.
        """
        given = lattice_of(cell)
        matrix = np.array(given.matrix)
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < GATE_VOLUME:
            raise InputError(
                f"The lattice has no finite volume above {GATE_VOLUME} Å³: {matrix.tolist()}."
            )
        if (1 / np.linalg.norm(np.linalg.inv(matrix), axis=0)).min() < 1e-3 * GATE_DISTANCE:
            raise InputError("The lattice is too skewed to be reduced. Give a reduced cell.")
        niggli = given.get_niggli_reduced_lattice()
        # Not by lengths and angles, which fit a mirror image as well, in which blocks change hands.
        rows = matrix @ np.linalg.inv(niggli.matrix)
        if np.abs(rows - np.rint(rows)).max() > _WHOLE:
            raise InputError(
                "The Niggli cell of the lattice could not be found; give a reduced cell."
            )
        return CellMap(given, niggli, np.rint(rows).astype(np.int64))

    @property
    def niggli_rows(self) -> Matrix:
        """Rows of the Niggli cell, Å."""
        return rows_of(self.niggli.matrix)

    def in_setting(self, change: NDArray[np.int64]) -> "CellMap":
        """The map to another cell of the same lattice, in place of the Niggli cell.

        Args:
            change: Rows of that cell as whole-number combinations of the Niggli rows; determinant
                1.
        """
        inverse = np.rint(np.linalg.inv(change)).astype(np.int64)
        return CellMap(self.given, Lattice(change @ self.niggli.matrix), self.matrix @ inverse)

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


#: Site properties of atoms of which nothing else is known.
_OF_GUESTS: Mapping[str, Any] = MappingProxyType(
    {FLAGS: [True] * 3, "magmom": 0.0, "charge": 0.0, "tags": 0}
)


def _not_ours(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a user has noted, without what this package had noted of an earlier state."""
    return {name: value for name, value in values.items() if not name.startswith("crysdiff_")}


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
        """The host's sites in their order, with their species, labels and properties untouched,
        then the guests; site property `crysdiff_role` tells them apart.
        """
        count = len(self.host)
        frac_coords = crystal.frac_coords.double().numpy() @ np.linalg.inv(self.cell.matrix) % 1.0
        frac_coords[:count] = self.host.frac_coords.reshape(-1, 3)
        lattice = (
            self._relaxed(crystal.lattice[0].double().numpy())
            if self.relax_cell
            else self.host.lattice
        )
        guests = [Element.from_Z(int(z)) for z in crystal.species[count:]]
        known = _not_ours(self.host.site_properties)
        sites = {name: [*v, *[_OF_GUESTS.get(name)] * len(guests)] for name, v in known.items()}
        return Structure(
            lattice,
            [*self.host.species, *guests],
            frac_coords,
            site_properties={**sites, ROLE: ["host"] * count + ["guest"] * len(guests)},
            properties={**_not_ours(self.host.properties), **properties},
            labels=[*self.host.labels, *(guest.symbol for guest in guests)],
        )

    def _relaxed(self, niggli: NDArray[np.float64]) -> Lattice:
        """The drawn cell in the user's setting, turned as closely as possible into the user's
        orientation.
        """
        drawn = self.cell.matrix @ niggli
        left, _, right = np.linalg.svd(drawn.T @ self.host.lattice.matrix)
        return Lattice(drawn @ left @ right)
