"""Translations against trying all of them on all pairs of atoms."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal import translations as room
from ase_crysdiff.crystal.reduction import SAME, reduced_cell
from ase_crysdiff.crystal.translations import translations


def by_trial(lattice, frac_coords, species):
    counts = np.bincount(species)
    rarest = np.where(counts > 0, counts, counts.max() + 1).argmin()
    atoms = np.nonzero(species == rarest)[0]
    shifts, images = [], []
    for shift in frac_coords[atoms[1:]] - frac_coords[atoms[0]]:
        steps = frac_coords[:, None] + shift - frac_coords
        steps -= np.rint(steps)
        distances = np.linalg.norm(steps @ lattice, axis=-1)
        distances[species[:, None] != species] = np.inf
        if (distances.min(1) <= SAME).all():
            shifts.append(shift)
            images.append(distances.argmin(1))
    return np.array(shifts).reshape(-1, 3), np.array(images, dtype=int).reshape(-1, len(species))


def supercell(seed):
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 4)
    lattice = Lattice.from_parameters(*rng.uniform(3, 6, 3), *rng.uniform(60, 120, 3))
    structure = Structure(lattice, ["Mg", "O", "Ti"][:count], rng.random((count, 3)))
    matrix = rng.integers(-2, 3, (3, 3))
    while not 1 <= abs(round(np.linalg.det(matrix))) <= 16:
        matrix = rng.integers(-2, 3, (3, 3))
    structure.make_supercell(matrix)
    if seed % 3 == 0:  # near the tolerance some translations hold and others do not
        structure.perturb(float(rng.choice([0.002, 0.006, 0.01, 0.02])))
    numbers = np.array([site.specie.Z for site in structure])
    return np.array(structure.lattice.matrix), structure.frac_coords, numbers


@pytest.mark.parametrize("seed", range(40))
def test_the_same_translations_and_images(seed):
    given = supercell(seed)
    shifts, images = translations(*given, SAME)
    expected_shifts, expected_images = by_trial(*given)
    np.testing.assert_array_equal(shifts, expected_shifts)
    np.testing.assert_array_equal(images, expected_images)


@pytest.mark.parametrize("deviation", [0.0, 0.1])
def test_large_supercells_are_searched_few_times(deviation, monkeypatch):
    """Known translations are added up, and distorted crystals ruled out by a few atoms."""
    searched = []
    nearest = room.Search.nearest
    monkeypatch.setattr(
        room.Search,
        "nearest",
        lambda self, number, atoms, shift: (
            searched.append(len(atoms)) or nearest(self, number, atoms, shift)
        ),
    )
    rocksalt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.21), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    large = rocksalt * (6, 6, 6)
    if deviation:
        large.perturb(deviation)
    assert len(reduced_cell(large)) == (1728 if deviation else 2)
    assert sum(searched) < 20 * 1728
