"""Crystals with known answers, from the pitfalls of the matcher."""

from functools import lru_cache

import numpy as np
from pymatgen.core import Lattice, Structure

from ase_crysdiff.testing.crystals import prototypes


@lru_cache
def rocksalt(a=5.64, symbols=("Na", "Cl"), group="Fm-3m", second=(0.5, 0.5, 0.5)):
    return Structure.from_spacegroup(
        group, Lattice.cubic(a), list(symbols), [[0, 0, 0], list(second)]
    )


def chain(t):
    """Five different atoms in a row; the third is moved along x by t mean atom spacings."""
    cell = Lattice.orthorhombic(4.0, 4.4, 9.0)
    sites = np.array([[0, 0, i / 5] for i in range(5)])
    sites[2, 0] += t * (cell.volume / 5) ** (1 / 3) / cell.a
    return Structure(cell, ["Li", "Mg", "Al", "Si", "P"], sites)


def double_perovskite(shift):
    double = prototypes()["SrTiO3"] * (2, 1, 1)
    first = next(i for i, site in enumerate(double) if site.specie.symbol == "Sr")
    double.translate_sites([first], [0, shift, 0], frac_coords=False)
    return double


def quartz(hand):
    right = Structure.from_spacegroup(
        "P3_121",
        Lattice.hexagonal(4.916, 5.4054),
        ["Si", "O"],
        [[0.4697, 0, 1 / 3], [0.4135, 0.2669, 0.1191 + 1 / 3]],
    )
    return (
        right
        if hand > 0
        else Structure(right.lattice, right.species, right.frac_coords * [1, 1, -1])
    )
