"""Mirror images lie in the other space group of a pair and are the same crystal otherwise."""

import numpy as np
import pytest
import spglib
from random_crystals import random_crystal

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.mirrors import _inverted, mirror_image
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, enantiomorph, space_group

PAIRS = [(76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154)]
PAIRS += [(169, 170), (171, 172), (178, 179), (180, 181), (212, 213)]
each = pytest.mark.parametrize("number", [n for pair in PAIRS for n in pair])


def crystal_of(number):
    """With every special position that the group has once, and two general ones."""
    *special, general = (p.letter for p in space_group(number).positions)
    chosen = [*special[:3], general, general]
    return random_crystal(number, [(3 + 5 * i, x) for i, x in enumerate(chosen)], apart=0.8)


@each
def test_a_mirror_image_has_the_other_group(number):
    crystal = crystal_of(number)
    mirrored = mirror_image(crystal)
    assert mirrored.scaffold.group == enantiomorph(number) != number
    found = spglib.get_symmetry_dataset(
        (mirrored.lattice, mirrored.frac_coords, mirrored.species), symprec=1e-4
    )
    assert found.number == mirrored.scaffold.group
    assert mirrored.scaffold.counts == crystal.scaffold.counts
    assert mirrored.scaffold.canonical() == crystal.scaffold.canonical()


@each
def test_its_atoms_are_those_of_the_inverted_crystal(number):
    crystal = crystal_of(number)
    mirrored = mirror_image(crystal)
    np.testing.assert_array_equal(mirrored.lattice, crystal.lattice)
    for z in set(crystal.species.tolist()):
        away = -crystal.frac_coords[crystal.species == z][:, None]
        away = away - mirrored.frac_coords[mirrored.species == z]
        away = np.abs(away - np.rint(away)).max(-1)
        assert away.min(1).max() < 1e-9
        assert away.min(0).max() < 1e-9


@each
def test_the_mirror_image_of_the_mirror_image_is_the_crystal(number):
    crystal = crystal_of(number)
    again = mirror_image(mirror_image(crystal))
    assert again.scaffold == crystal.scaffold
    away = np.sort(again.frac_coords @ [1, 10, 100]) - np.sort(crystal.frac_coords @ [1, 10, 100])
    assert np.abs(away).max() < 1e-6


@each
def test_letters_change_by_a_relabelling_at_most(number):
    """So that a scaffold names its mirror image with the same letters."""
    other = space_group(enantiomorph(number))
    letters = [_inverted(number, p.letter)[0] for p in space_group(number).positions]
    places = [LETTERS.index(letter) for letter in letters]
    assert places in other.relabellings.tolist()


def test_a_group_that_is_its_own_mirror_image_has_no_other():
    salt = random_crystal(225, [(11, "a"), (17, "b")])
    with pytest.raises(InputError, match="its own mirror image"):
        mirror_image(salt)


def test_twenty_two_groups_have_partners():
    paired = {n for n in range(1, 231) if enantiomorph(n) != n}
    assert paired == {n for pair in PAIRS for n in pair}
    assert all(enantiomorph(enantiomorph(n)) == n for n in range(1, 231))
    assert str(Scaffold(78, ((6, "a"),))).startswith("P4_3")
