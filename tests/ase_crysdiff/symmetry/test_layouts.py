"""The maps between free numbers and atoms, against the crystals and operations they stand for."""

import numpy as np
import pytest

from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.layouts import anchor_images, gram_average, kind_maps
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, space_group

#: All centrings, polar and chiral groups, oblique positions (x, 2x, z).
GROUPS = (
    1,
    2,
    9,
    14,
    15,
    38,
    43,
    62,
    70,
    96,
    136,
    139,
    156,
    160,
    166,
    186,
    194,
    205,
    216,
    227,
    230,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def kinds():
    for number in GROUPS:
        last = len(space_group(number).positions) - 1
        for first in range(last + 1):
            yield number, (first, last)


def test_free_numbers_give_the_atoms_of_the_crystal(rng):
    for number, letters in kinds():
        maps = kind_maps((number, letters))
        numbers = rng.random((2, 3)) * maps.free
        places = np.einsum("aisd,sd->ai", maps.spread, numbers) + maps.offsets
        scaffold = Scaffold(number, tuple((11 + i, LETTERS[x]) for i, x in enumerate(letters)))
        crystal = SymmetricCrystal(scaffold, np.eye(3), numbers[maps.free > 0])
        away = places - crystal.frac_coords
        assert np.abs(away - np.rint(away)).max() < 1e-9


def test_vectors_of_atoms_are_averaged_over_the_group(rng):
    for number, letters in kinds():
        maps = kind_maps((number, letters))
        scaffold = Scaffold(number, tuple((11 + i, LETTERS[x]) for i, x in enumerate(letters)))
        crystal = SymmetricCrystal(scaffold, np.eye(3), np.zeros(scaffold.free))
        vectors = rng.normal(size=maps.offsets.shape)
        changes = np.einsum("sdai,ai->sd", maps.gather, vectors)
        np.testing.assert_allclose(
            np.einsum("aisd,sd->ai", maps.spread, changes),
            crystal.operations.average(vectors),
            atol=1e-9,
        )


def test_images_of_an_anchor_describe_the_same_orbit(rng):
    matrices, shifts, counts = anchor_images()
    assert matrices.shape == (1731, 48, 3, 3)
    assert (counts >= 1).all()
    assert counts.max() == 48
    for number, letters in kinds():
        maps, row = kind_maps((number, letters)), kind_maps((number, letters)).positions[0]
        numbers = rng.random((2, 3)) * maps.free
        points = space_group(number).positions[letters[0]].multiplicity
        places = (np.einsum("aisd,sd->ai", maps.spread, numbers) + maps.offsets)[:points]
        for image in range(counts[row]):
            numbers_of_image = numbers.copy()
            numbers_of_image[0] = matrices[row, image] @ numbers[0] + shifts[row, image]
            same = np.einsum("aisd,sd->ai", maps.spread, numbers_of_image) + maps.offsets
            away = places[:, None] - same[None, :points]
            away -= np.rint(away)
            assert (np.abs(away).max(-1).min(1) < 1e-9).all()


@pytest.mark.parametrize(
    ("number", "rank"), [(2, 6), (15, 4), (70, 3), (139, 2), (166, 2), (194, 2), (227, 1)]
)
def test_averaged_cells_have_the_free_numbers_of_their_family(number, rank):
    symmetric = np.eye(9).reshape(9, 3, 3) + np.eye(9).reshape(9, 3, 3).transpose(0, 2, 1)
    averaged = gram_average(number) @ symmetric.reshape(9, 9).T
    assert np.linalg.matrix_rank(averaged, tol=1e-9) == rank
