"""Is a structure physical? One judge, asked before third-party code or a potential sees it, and
after a relaxation.
"""

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.constants import GATE, LONELY_DISTANCE, LONELY_FRACTION, PHYSICAL, Limits
from ase_crysdiff.crystal.close_pairs import close_pairs, pairs_within
from ase_crysdiff.crystal.coordinates import frac_coords_of
from ase_crysdiff.crystal.niggli import niggli_rows

#: How the verdict on a structure with an atom that has no neighbour ends.
GAS = "a gas, not a crystal"


def unsound(
    lattice: NDArray[np.float64],
    frac_coords: NDArray[np.float64],
    species: NDArray[np.int64],
    limits: Limits,
) -> str | None:
    """Why a crystal does not keep to limits; None if it does. The verdict is the same in every
    cell, supercells included, and costs a time that grows like the number of atoms.

    Args:
        lattice: Rows in Å, shape (3, 3).
        frac_coords: Shape (atoms, 3).
        species: Atomic numbers, shape (atoms,).
        limits: One of those in `ase_crysdiff.constants`, or others.
    """
    if not len(species):
        return "no atoms"
    if not (np.isfinite(lattice).all() and np.isfinite(frac_coords).all()):
        return "not finite"
    volume = abs(float(np.linalg.det(lattice)))
    low, high = limits.volume_per_atom
    if not low <= volume / len(species) <= high:
        if np.isinf(high):
            return f"less than {low:g} Å³ per atom"
        return f"volume outside {low:g}-{high:g} Å³ per atom"
    if volume < limits.cell_volume:
        return f"volume below {limits.cell_volume} Å³"
    return _too_close(lattice, frac_coords, species, limits)


def _too_close(
    lattice: NDArray[np.float64],
    frac_coords: NDArray[np.float64],
    species: NDArray[np.int64],
    limits: Limits,
) -> str | None:
    spacings = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    if spacings.min() < limits.distance:  # perhaps only the choice of vectors makes it look thin
        reduced = niggli_rows(lattice)
        if (
            reduced is None
            or (1 / np.linalg.norm(np.linalg.inv(reduced), axis=0)).min() < limits.distance
        ):
            return f"cell thinner than {limits.distance} Å"
        frac_coords, lattice = frac_coords @ lattice @ np.linalg.inv(reduced), reduced
    radii = covalent_radii[species]
    reach = max(limits.distance, 2 * limits.radii_fraction * float(radii.max()))
    first, second, distances = pairs_within(lattice, frac_coords, reach)
    if (distances < limits.distance - 1e-9).any():
        return f"two atoms closer than {limits.distance} Å"
    if (distances <= limits.radii_fraction * (radii[first] + radii[second])).any():
        return f"two atoms closer than {limits.radii_fraction} of the sum of their covalent radii"
    return None


def gate(structure: Structure | None) -> str | None:
    """Why a structure must not reach matchers, symmetry finders or potentials; None if it may.

    A coordinate that is not a number ends spglib with a segmentation fault, and a cell of 0.01 Å
    thickness fills the memory of a matcher.
    """
    reason = unusable_species(structure)
    if structure is None or reason is not None:
        return reason
    return structure_unsound(structure, GATE)


def structure_unsound(structure: Structure, limits: Limits) -> str | None:
    """Why an ordered structure does not keep to limits; None if it does.

    Args:
        structure: Ordered, of elements only.
        limits: One of those in `ase_crysdiff.constants`, or others.
    """
    species = np.array([site.specie.Z for site in structure], dtype=np.int64)
    matrix = np.array(structure.lattice.matrix)
    return unsound(matrix, frac_coords_of(structure), species, limits)


def gate_all(structures: Sequence[Structure | None]) -> dict[int, str]:
    """Reason by position, for the structures that fail the gate."""
    return {i: reason for i, s in enumerate(structures) if (reason := gate(s)) is not None}


def unphysical(structure: Structure) -> str | None:
    """Why a relaxed structure cannot be believed, whatever its energy; None if it can.

    Potentials that were never taught otherwise give collapsed atoms energies near or below those of
    the crystal.

    Args:
        structure: One that passes the gate.
    """
    return structure_unsound(structure, PHYSICAL) or lonely(structure)


def lonely(structure: Structure) -> str | None:
    """Which atom has no neighbour at all, so that the structure is a gas and no crystal; None if
    there is none.

    Args:
        structure: One that passes the gate.
    """
    species = np.array([site.specie.Z for site in structure], dtype=np.int64)
    matrix = np.array(structure.lattice.matrix)
    return lonely_atom(matrix, frac_coords_of(structure), species)


def lonely_atom(
    lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], species: NDArray[np.int64]
) -> str | None:
    """Which atom of a crystal has no neighbour at all; None if there is none.

    Potentials that see no farther than their cutoff give such atoms the energy that they were
    fitted to have in compounds, often lower than that of any solid.

    Args:
        lattice: Rows in Å, shape (3, 3).
        frac_coords: Shape (atoms, 3).
        species: Atomic numbers, shape (atoms,).
    """
    first, _, _ = pairs_within(lattice, frac_coords, LONELY_DISTANCE)
    alone = np.setdiff1d(np.arange(len(species)), first)
    if len(alone):
        radii = covalent_radii[species]
        reach = LONELY_FRACTION * float(radii[alone].max() + radii.max())
        first, second, distances = pairs_within(lattice, frac_coords, max(reach, LONELY_DISTANCE))
        near = distances <= LONELY_FRACTION * (radii[first] + radii[second])
        alone = np.setdiff1d(alone, first[near])
    if not len(alone):
        return None
    return (
        f"atom {alone[0]} ({chemical_symbols[species[alone[0]]]}) has no neighbour within "
        f"{LONELY_DISTANCE:g} Å: {GAS}"
    )


def unusable_species(structure: Structure | None) -> str | None:
    """Why a structure has no definite composition of elements; None if it has."""
    if structure is None:
        return "no structure"
    if len(structure) == 0:
        return "no atoms"
    if not structure.is_ordered:
        return "disordered"
    # Dummy species have a Z, too, but it is no atomic number.
    if not all(0 < site.specie.Z < len(covalent_radii) for site in structure):
        return "a species that is no element"
    return None


def keeps_distances(structure: Structure | None, fraction: float) -> bool:
    """Whether every distance exceeds a fraction of the sum of the covalent radii (Cordero et al.
    2008).
    """
    assert structure is not None
    radii = covalent_radii[[site.specie.Z for site in structure]]
    centres, points, distances = close_pairs(structure, 2 * fraction * float(radii.max()))
    return bool((distances > fraction * (radii[centres] + radii[points])).all())
