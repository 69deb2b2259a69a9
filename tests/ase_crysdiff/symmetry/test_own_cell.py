"""Operations of structures that have their symmetry only nearly."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from symmetric_crystals import crystals

from ase_crysdiff.symmetry.own_cell import operations_of

CRYSTALS = crystals()


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_disturbed_crystal_is_refined_and_its_operations_are_a_group(name):
    exact, number, coordinates, numbers = CRYSTALS[name]
    given = exact.copy().perturb(0.02)
    before = given.copy()
    found = operations_of(given)
    found.operations.check()
    assert given == before
    assert found.reason is None
    assert found.number == number
    assert found.operations.free_coordinates == coordinates
    assert found.operations.free_lattice_numbers == numbers
    refined = found.structure
    assert found.operations.deviation(refined.frac_coords, refined.lattice.matrix) < 1e-10
    assert refined.species == given.species
    moves = refined.frac_coords - given.frac_coords
    moves = (moves - np.round(moves)) @ refined.lattice.matrix
    assert np.linalg.norm(moves - moves.mean(0), axis=1).max() < 0.1


def test_a_supercell_has_the_operations_that_its_lattice_leaves():
    salt = CRYSTALS["rock salt, cube"][0] * (1, 1, 2)
    found = operations_of(salt)
    assert found.number == 225
    assert len(found.operations) == 16 * 8  # 4/mmm, times four centrings and two cells


def test_a_given_cell_stays_or_no_symmetry_is_known():
    salt = CRYSTALS["rock salt, cube"][0].copy().perturb(0.01)
    found = operations_of(salt, fixed_cell=True)
    assert found.number == 225
    assert (found.structure.lattice.matrix == salt.lattice.matrix).all()
    stretched = Structure(Lattice.tetragonal(5.64, 5.66), salt.species, salt.frac_coords)
    found = operations_of(stretched, fixed_cell=True)
    assert found.structure is stretched
    assert len(found.operations) == 1
    assert "lacks the symmetry" in found.reason


def test_what_is_unsound_has_an_unknown_group_and_no_other():
    collapsed = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0.01]])
    found = operations_of(collapsed)
    assert found.number is None
    assert found.symbol is None
    assert "not sound" in found.reason
    assert found.structure is collapsed
    assert len(found.operations) == 1
    lost = Structure(Lattice.cubic(4), ["Na"], [[np.nan, 0, 0]])
    assert "not finite" in operations_of(lost).reason


def test_atoms_of_other_charge_are_not_equivalent():
    iron = Structure(
        Lattice.cubic(4), ["Fe2+", "Fe3+"], [[0, 0, 0], [0.5, 0.5, 0.5]], labels=["A", "B"]
    )
    found = operations_of(iron)
    assert found.number == 221
    assert found.operations.orbits.tolist() == [0, 1]
    assert found.structure.labels == ["A", "B"]
