"""Fingerprints tell arrangements apart, whatever cell, elements and space group they come in."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from textbook import fluorite, perovskite, rocksalt, rutile

from ase_crysdiff.prototypes.arrangements import arrange, assignments, num_assignments
from ase_crysdiff.prototypes.fingerprint import NEIGHBOURS, fingerprint


def fingerprint_of(structure, order):
    slots = np.array([order.index(site.specie.symbol) for site in structure])
    return fingerprint(structure.lattice.matrix, structure.frac_coords, slots, len(order))


def test_distances_are_those_of_a_rock_salt():
    found = fingerprint_of(rocksalt(2.0, "Na", "Cl"), ["Na", "Cl"])
    # Volume per atom 1: six neighbours of the other kind at 1, twelve of its own at the root of 2.
    np.testing.assert_allclose(found[0, 1], [1] * 6 + [3**0.5] * 2, atol=1e-12)
    np.testing.assert_allclose(found[0, 0], [2**0.5] * NEIGHBOURS, atol=1e-12)


@pytest.mark.parametrize("matrix", [[[1, 1, 0], [0, 1, 3], [0, 0, 1]], np.diag([2, 1, 1])])
def test_the_cell_does_not_matter(matrix):
    structure = rutile(4.594, 2.959, 0.305, "Ti")
    other = structure.copy()
    other.make_supercell(matrix)
    same = fingerprint_of(other, ["Ti", "O"])
    np.testing.assert_allclose(fingerprint_of(structure, ["Ti", "O"]), same, atol=1e-9)


def test_scale_does_not_matter():
    small, large = perovskite(3.9, "Sr", "Ti"), perovskite(4.4, "Sr", "Ti")
    order = ["Sr", "Ti", "O"]
    np.testing.assert_allclose(
        fingerprint_of(small, order), fingerprint_of(large, order), atol=1e-12
    )


def test_every_assignment_of_equal_counts_is_listed():
    assert assignments((1, 1, 3)).tolist() == [[0, 1, 2], [1, 0, 2]]
    for counts in ((1,), (2, 2), (1, 2, 2, 2), (1, 1, 3, 3)):
        assert len(assignments(counts)) == num_assignments(counts)


def test_perovskites_find_each_other_with_either_element_first():
    orders = [["Sr", "Ti", "O"], ["Ti", "Sr", "O"], ["Sr", "Ti", "O"]]
    ideal = perovskite(3.905, "Sr", "Ti")
    strained = Structure(
        Lattice.tetragonal(3.905, 4.02), ideal.species, ideal.frac_coords
    )  # another space group
    crystals = [ideal, ideal, strained]
    prints = np.array([fingerprint_of(s, o) for s, o in zip(crystals, orders, strict=True)])
    found = arrange(prints, (1, 1, 3), range(3))
    assert found.index.tolist() == [0, 0, 0]
    assert found.order.tolist() == [0, 1, 0]
    assert found.equivalent.tolist() == [[0, 1]]  # the two places differ


def test_the_two_places_of_a_rock_salt_are_equal_those_of_zincblende_too():
    for places in ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25]):
        structure = Structure.from_spacegroup(
            "F-43m", Lattice.cubic(5), ["Zn", "S"], [[0, 0, 0], places]
        ).get_primitive_structure()
        found = arrange(fingerprint_of(structure, ["Zn", "S"])[None], (1, 1), [0])
        assert found.equivalent.tolist() == [[0, 0]]


def test_rutile_is_no_fluorite():
    rutiles = fingerprint_of(rutile(4.594, 2.959, 0.305, "Ti"), ["Ti", "O"])
    fluorites = fingerprint_of(fluorite(5.46, "Ca", "F"), ["Ca", "F"])
    found = arrange(np.array([rutiles, fluorites]), (2, 4), [1, 0])
    assert found.index.tolist() == [1, 0]
