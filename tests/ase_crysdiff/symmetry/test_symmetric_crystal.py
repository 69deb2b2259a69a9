"""A crystal of a scaffold and free numbers has the symmetry, whatever the numbers are."""

from itertools import pairwise

import numpy as np
import pytest
from random_crystals import CELLS, as_structure, random_crystal
from symmetric_crystals import found_by_spglib

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import space_group

#: A group of each centring with special positions that are occupied.
CENTRINGS = {
    "P": (136, "af"),
    "A": (38, "acf"),
    "C": (63, "cgh"),
    "I": (139, "aen"),
    "R": (166, "ach"),
    "F": (225, "aef"),
}
each = pytest.mark.parametrize(("number", "letters"), CENTRINGS.values(), ids=CENTRINGS)


def example(number, letters):
    return random_crystal(number, [(3 + 5 * i, x) for i, x in enumerate(letters)])


@each
def test_operations_are_a_group_that_the_crystal_has(number, letters):
    crystal = example(number, letters)
    operations = crystal.operations
    operations.check()
    assert operations.deviation(crystal.frac_coords, crystal.lattice) < 1e-9
    assert len(operations) == len(found_by_spglib(as_structure(crystal)))
    assert operations.free_coordinates == crystal.scaffold.free
    species = crystal.species
    assert (species[operations.permutations] == species).all()


@each
def test_averages_are_projections_that_commute_with_the_group(number, letters):
    operations = example(number, letters).operations
    size = 3 * operations.num_atoms
    average = np.array([operations.average(e.reshape(-1, 3)).ravel() for e in np.eye(size)]).T
    assert np.trace(average) == pytest.approx(operations.free_coordinates)
    assert average @ average == pytest.approx(average, abs=1e-12)
    for rotation, images in zip(operations.rotations, operations.permutations, strict=True):
        moved = np.zeros((len(images), 3, len(images), 3))
        moved[images, :, np.arange(len(images))] = rotation
        matrix = moved.reshape(size, size)
        assert average @ matrix == pytest.approx(matrix @ average, abs=1e-12)


@each
def test_conventional_and_primitive_cell_are_one_crystal(number, letters):
    crystal = example(number, letters)
    group = space_group(number)
    whole = np.rint(np.linalg.inv(group.primitive)).astype(int)
    assert whole @ group.primitive == pytest.approx(np.eye(3))
    conventional = as_structure(crystal)
    conventional.make_supercell(whole)
    assert conventional.lattice.matrix == pytest.approx(crystal.conventional)
    assert len(conventional) == CELLS[group.centring] * crystal.scaffold.num_atoms
    back = find_symmetric(conventional, 0.01)
    assert back.scaffold.canonical() == crystal.scaffold.canonical()
    again = find_symmetric(as_structure(back), 0.01)
    assert again.scaffold == back.scaffold
    assert again.free_numbers == pytest.approx(back.free_numbers, abs=1e-6)
    assert again.lattice == pytest.approx(back.lattice, abs=1e-6)


def test_atoms_come_site_after_site():
    scaffold = Scaffold(136, ((8, "f"), (22, "a")))
    crystal = SymmetricCrystal(scaffold, np.diag([4.59, 4.59, 2.96]), np.array([0.305]))
    assert crystal.species.tolist() == [22, 22, 8, 8, 8, 8]
    assert crystal.frac_coords[:2] == pytest.approx(np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    assert crystal.frac_coords[2] == pytest.approx([0.305, 0.305, 0])
    ends = np.cumsum([0, *(p.multiplicity for p in scaffold.positions)])
    for start, stop in pairwise(ends):
        assert len({crystal.operations.orbits[a] for a in range(start, stop)}) == 1


def test_a_scaled_crystal_keeps_its_shape():
    crystal = example(166, "ach")
    larger = crystal.scaled(1.5)
    ratio = np.linalg.det(larger.lattice) / np.linalg.det(crystal.lattice)
    assert ratio == pytest.approx(1.5)
    assert (larger.frac_coords == crystal.frac_coords).all()


def test_free_numbers_are_as_many_as_the_scaffold_has():
    scaffold = Scaffold(136, ((22, "a"), (8, "f")))
    with pytest.raises(InputError, match=r"Ti a, O f has 1 free coordinates.*shape \(2,\)"):
        SymmetricCrystal(scaffold, np.eye(3), np.zeros(2))
    with pytest.raises(InputError, match="three rows of three"):
        SymmetricCrystal(scaffold, np.eye(2), np.zeros(1))
