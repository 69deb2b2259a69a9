"""Wyckoff positions, subgroups and settings from operations alone, against the tables."""

import numpy as np
import pytest

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.operations import Operations
from ase_crysdiff.symmetry.positions import hermite, positions_of, smith
from ase_crysdiff.symmetry.settings import primitive_setting
from ase_crysdiff.symmetry.subgroups import products, subgroups_of
from ase_crysdiff.symmetry.tables import space_group


def operations(number):
    group = space_group(number)
    nobody = np.zeros((len(group.rotations), 0), np.int64)
    return Operations(group.rotations, group.translations, nobody)


@pytest.mark.parametrize("number", [1, 2, 15, 36, 62, 88, 122, 136, 146, 167, 186, 194, 205, 225])
def test_positions_are_those_of_the_tables(number):
    """Their numbers of points and free coordinates; operations permute the points of an orbit."""
    group, found = operations(number), positions_of(operations(number))
    listed = sorted((p.free, p.multiplicity) for p in space_group(number).positions)
    assert sorted((p.free, p.multiplicity) for p in found) == listed
    for position in found:
        points = position.points(np.array([0.137, 0.211, 0.359])[: position.free])
        images = np.einsum("gij,aj->gai", group.rotations, points) + group.translations[:, None]
        away = images - points[position.images(group)]
        assert np.abs(away - np.rint(away)).max() < 1e-9
        assert (np.sort(position.images(group), 1) == np.arange(position.multiplicity)).all()


def test_another_cell_has_the_same_positions():
    change = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    found = positions_of(operations(225).in_basis(change))
    assert [p.free for p in found] == [p.free for p in positions_of(operations(225))]


@pytest.mark.parametrize(
    ("number", "classes"), [(1, 1), (2, 2), (62, 16), (136, 27), (191, 32), (221, 33)]
)
def test_subgroups_up_to_conjugation(number, classes):
    """mmm has 16 subgroups, all normal; 4/mmm has 27 classes, 6/mmm 32, m-3m 33."""
    found = subgroups_of(operations(number))
    assert len(found) == classes
    assert [len(g) for g in found] == sorted((len(g) for g in found), reverse=True)
    for subgroup in found:
        table = products(subgroup)
        assert (np.sort(table, 1) == np.arange(len(subgroup))).all()
        assert len(operations(number)) % len(subgroup) == 0


def test_normal_forms():
    generator = np.random.default_rng(0)
    for _ in range(50):
        matrix = generator.integers(-3, 4, (3, generator.integers(1, 4)))
        left, diagonal, right = smith(matrix)
        assert (left @ matrix @ right == diagonal).all()
        assert abs(round(np.linalg.det(left))) == abs(round(np.linalg.det(right))) == 1
        assert np.count_nonzero(diagonal) == np.count_nonzero(np.diagonal(diagonal))
        shear = np.array([[1, 2, 0], [0, 1, 0], [-1, 0, 1]])
        assert (hermite(shear @ matrix) == hermite(matrix)).all()


@pytest.mark.parametrize("number", [14, 62, 136, 166, 194, 216, 227])
def test_a_cell_is_brought_to_the_standard_setting(number):
    group = space_group(number)
    lengths = {"monoclinic": (5, 6, 7), "orthorhombic": (5, 6, 7), "tetragonal": (4, 4, 6)}
    a, b, c = lengths.get(group.family, (5, 5, 5) if group.family == "cubic" else (3, 3, 5))
    rows = np.diag([float(a), b, c])
    if group.family == "monoclinic":
        rows[2, 0] = -1.3
    if group.family == "hexagonal":
        rows[1, :2] = -1.5, 1.5 * 3**0.5
    given = np.array([[0, 1, 0], [1, 1, 0], [0, 0, -1]]) @ (group.primitive @ rows)
    cell = primitive_setting(number, given) @ given
    assert np.abs(operations(number).average_gram(cell @ cell.T) - cell @ cell.T).max() < 1e-9
    with pytest.raises(InputError, match="The lattice contradicts Fm-3m"):
        primitive_setting(225, np.diag([4.0, 5.0, 6.0]))
