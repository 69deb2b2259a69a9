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


def moved(structure, deviation, seed=0):
    """Every atom moved at random, by `deviation` in Å on average."""
    noise = (
        deviation * np.random.default_rng(seed).standard_normal((len(structure), 3)) / np.sqrt(3)
    )
    return Structure(
        structure.lattice,
        structure.species,
        structure.cart_coords + noise,
        coords_are_cartesian=True,
    )


def turned(structure, seed=0):
    """Another orientation of the cell, perhaps a mirror image."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return Structure(
        Lattice(structure.lattice.matrix @ q), structure.species, structure.frac_coords
    )


def decorated(structure, charges):
    """With oxidation states by element."""
    copy = structure.copy()
    copy.add_oxidation_state_by_element(charges)
    return copy


def broken():
    """One entry for every reason not to judge a structure."""
    nan = rocksalt().copy()
    nan.translate_sites([0], [np.nan, 0, 0], to_unit_cell=False)
    return {
        "no structure": None,
        "no atoms": Structure(Lattice.cubic(4), [], []),
        "not finite": nan,
        "disordered": Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]),
        "volume": Structure(Lattice.cubic(0.3), ["Cu"], [[0, 0, 0]]),
        "thinner": Structure(Lattice.orthorhombic(40, 40, 0.01), ["Cu"], [[0, 0, 0]]),
        "closer": Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]]),
    }
