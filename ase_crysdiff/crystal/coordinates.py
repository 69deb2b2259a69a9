"""Coordinates of pymatgen's objects as floating point numbers."""

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Molecule, Structure


def frac_coords_of(structure: Structure) -> NDArray[np.float64]:
    """Fractional coordinates, shape (atoms, 3); those that were given as whole numbers, which some
    versions of pymatgen keep as such, are floating point numbers here.
    """
    return np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3)


def positions_of(molecule: Molecule) -> NDArray[np.float64]:
    """Positions of a molecule, Å, shape (atoms, 3), likewise."""
    return np.array(molecule.cart_coords, dtype=np.float64).reshape(-1, 3)
