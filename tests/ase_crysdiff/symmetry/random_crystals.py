"""Crystals of given scaffolds with random cells and free numbers."""

import numpy as np
from pymatgen.core import Lattice, Structure

from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import space_group

#: Primitive cells in a conventional one.
CELLS = {"P": 1, "A": 2, "C": 2, "I": 2, "R": 3, "F": 4}


def conventional_cell(number, size=16.0):
    """Rows of a conventional cell as asymmetric as a group permits."""
    a, b, c = size, 1.13 * size, 1.31 * size
    shapes = {
        "triclinic": (a, b, c, 77, 84, 97),
        "monoclinic": (a, b, c, 90, 103, 90),
        "orthorhombic": (a, b, c, 90, 90, 90),
        "tetragonal": (a, a, c, 90, 90, 90),
        "hexagonal": (a, a, c, 90, 90, 120),
        "cubic": (a, a, a, 90, 90, 90),
    }
    return Lattice.from_parameters(*shapes[space_group(number).family]).matrix


def random_crystal(number, sites, seed=0, apart=1.0):
    """A crystal with these sites in which no two atoms are closer than `apart` Å."""
    random = np.random.default_rng([number, seed])
    scaffold = Scaffold(number, tuple(sites))
    rows = space_group(number).primitive @ conventional_cell(number)
    for _ in range(1000):
        crystal = SymmetricCrystal(scaffold, rows, random.random(scaffold.free))
        away = crystal.frac_coords[:, None] - crystal.frac_coords
        away -= np.rint(away)
        distances = np.linalg.norm(away @ rows, axis=-1) + 10 * np.eye(len(away))
        if distances.min() > apart:
            return crystal
    raise AssertionError(f"no room for {scaffold}")


def as_structure(crystal):
    """A pymatgen structure of the primitive standard cell."""
    return Structure(crystal.lattice, crystal.species, crystal.frac_coords)
