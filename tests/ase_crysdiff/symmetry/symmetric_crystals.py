"""Crystals of many groups and settings, and the operations that spglib finds in their cells."""

import numpy as np
import spglib
from pymatgen.core import Lattice, Structure

from ase_crysdiff.symmetry.operations import Operations


def crystals():
    """By name: the crystal, its space group, free coordinates and free numbers of its cell, counted
    by hand from the Wyckoff positions.
    """
    rutile = Structure.from_spacegroup(
        "P4_2/mnm",
        Lattice.tetragonal(4.59, 2.96),
        ["Ti", "O"],
        [[0, 0, 0], [0.305, 0.305, 0]],
    )
    wurtzite = Structure.from_spacegroup(
        "P6_3mc",
        Lattice.hexagonal(3.81, 6.26),
        ["Zn", "S"],
        [[1 / 3, 2 / 3, 0.02], [1 / 3, 2 / 3, 0.39]],
    )
    corundum = Structure.from_spacegroup(
        "R-3c",
        Lattice.hexagonal(4.76, 12.99),
        ["Al", "O"],
        [[0, 0, 0.352], [0.306, 0, 0.25]],
    )
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    monoclinic = Structure.from_spacegroup(
        "P2_1/c",
        Lattice.monoclinic(5.15, 5.21, 5.32, 99.2),
        ["Zr", "O", "O"],
        [[0.276, 0.041, 0.208], [0.07, 0.332, 0.345], [0.45, 0.757, 0.479]],
    )
    pyrite = Structure.from_spacegroup(
        "Pa-3", Lattice.cubic(5.42), ["Fe", "S"], [[0, 0, 0], [0.385, 0.385, 0.385]]
    )
    return {
        "rutile": (rutile, 136, 1 * 1, 2),
        "wurtzite": (wurtzite, 186, 2, 2),
        "corundum": (corundum.get_primitive_structure(), 167, 2, 2),
        "rock salt": (salt.get_primitive_structure(), 225, 0, 1),
        "rock salt, cube": (salt, 225, 0, 1),
        "baddeleyite": (monoclinic, 14, 9, 4),
        "pyrite": (pyrite, 205, 1, 1),
    }


def found_by_spglib(structure, symprec=1e-4):
    """Operations of an exact crystal, with its permutations."""
    cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    symmetry = spglib.get_symmetry(cell, symprec=symprec)
    return Operations.of(
        symmetry["rotations"],
        symmetry["translations"],
        structure.frac_coords,
        np.array(structure.atomic_numbers),
        structure.lattice.matrix,
    )
