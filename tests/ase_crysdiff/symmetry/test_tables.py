"""The tables hold what the International Tables print, and obey what a group must."""

from collections import Counter

import numpy as np
import pytest
from random_crystals import CELLS

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.operations import Operations
from ase_crysdiff.symmetry.tables import LETTERS, group_number, space_group

GROUPS = [space_group(number) for number in range(1, 231)]
FREE_LATTICE_NUMBERS = {
    "triclinic": 6,
    "monoclinic": 4,
    "orthorhombic": 3,
    "tetragonal": 2,
    "hexagonal": 2,
    "cubic": 1,
}
FAMILIES = sorted({group.family for group in GROUPS})
every_family = pytest.mark.parametrize("family", FAMILIES)


def of(family):
    return [group for group in GROUPS if group.family == family]


def conventional_multiplicity(group, letter):
    return group.position(letter).multiplicity * CELLS[group.centring]


def named(group, relabelling):
    return "".join(LETTERS[index] for index in relabelling)


def test_there_are_1731_positions():
    free = Counter(position.free for group in GROUPS for position in group.positions)
    assert free == {0: 616, 1: 718, 2: 167, 3: 230}
    assert max(GROUPS, key=lambda group: len(group.positions)).number == 47
    assert len(space_group(47).positions) == 27
    assert space_group(47).positions[-1].letter == "A"


def test_multiplicities_of_conventional_cells():
    found = Counter(
        conventional_multiplicity(group, position.letter)
        for group in GROUPS
        for position in group.positions
    )
    assert found == {
        1: 124, 2: 364, 3: 67, 4: 459, 6: 119, 8: 285, 9: 8, 12: 81, 16: 86, 18: 9, 24: 55, 32: 16,
        36: 2, 48: 34, 64: 2, 96: 16, 192: 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "letters", "multiplicity"),
    [(225, "ab", 4), (227, "ab", 8), (136, "ab", 2), (136, "fg", 4), (194, "cd", 2), (166, "c", 6)],
)
def test_multiplicities_of_the_international_tables(number, letters, multiplicity):
    group = space_group(number)
    assert [conventional_multiplicity(group, x) for x in letters] == [multiplicity] * len(letters)


def test_positions_of_rutile_lie_where_the_tables_say():
    group = space_group(136)
    f, g = (group.position(letter).points(np.array([0.3])) for letter in "fg")
    assert f[0] == pytest.approx([0.3, 0.3, 0])
    assert {tuple(point) for point in g.round(9).tolist()} == {
        (0.3, 0.7, 0.0), (0.7, 0.3, 0.0), (0.8, 0.8, 0.5), (0.2, 0.2, 0.5),
    }  # fmt: skip


def test_a_group_that_has_two_origins_uses_the_second():
    a = space_group(227).position("a").points(np.zeros(0)) @ space_group(227).primitive
    assert sorted(a[:, 0] % 0.25) == pytest.approx([0.125] * 2)


@every_family
def test_orbits_are_closed_under_the_group(family):
    for group in of(family):
        random = np.random.default_rng(group.number)
        for position in group.positions:
            points = position.points(random.random(position.free))
            images = np.einsum("gij,pj->gpi", group.rotations, points) + group.translations[:, None]
            away = images[:, :, None] - points
            hits = (np.abs(away - np.rint(away)) < 1e-8).all(-1).sum(-1)
            assert (hits == 1).all(), position.letter


@every_family
def test_the_general_position_is_the_group_and_multiplicities_divide_its_order(family):
    for group in of(family):
        order = len(group.rotations)
        assert group.positions[-1].multiplicity == order
        assert all(order % position.multiplicity == 0 for position in group.positions)
        nobody = np.zeros((order, 0), np.int64)
        Operations(group.rotations, group.translations, nobody).check()


@every_family
def test_symmetric_cells_have_the_numbers_of_their_family(family):
    for group in of(family):
        nobody = np.zeros((len(group.rotations), 0), np.int64)
        operations = Operations(group.rotations, group.translations, nobody)
        assert operations.free_lattice_numbers == FREE_LATTICE_NUMBERS[group.family]
        forms = np.eye(9).reshape(9, 3, 3)
        averaged = [operations.average_gram(form + form.transpose()).ravel() for form in forms]
        rank = np.linalg.matrix_rank(np.array(averaged), tol=1e-8)
        assert rank == FREE_LATTICE_NUMBERS[group.family]


@every_family
def test_free_numbers_span_each_anchor_once(family):
    """A unimodular frame: two anchors are the same only if their free numbers differ by whole
    numbers, so uniform free numbers are uniform on the subspace.
    """
    for group in of(family):
        for position in group.positions:
            assert abs(np.linalg.det(position.frame)) == pytest.approx(1)
            assert np.linalg.matrix_rank(position.basis[0]) == position.free
            assert (position.basis[0] == position.frame[:, : position.free]).all()


@pytest.mark.parametrize(
    ("number", "letter", "shape"),
    [(198, "a", lambda u: (u[0], u[0], u[0])), (194, "k", lambda u: (u[0], 2 * u[0], u[1]))],
)
def test_uniform_free_numbers_are_uniform_in_every_decile(number, letter, shape):
    position = space_group(number).position(letter)
    draws = np.random.default_rng(0).random((20_000, position.free))
    anchors = np.array([position.points(u)[0] for u in draws])
    x, z = anchors[:, 0], anchors[:, 2]
    expected = np.array([shape((a, b)) for a, b in zip(x, z, strict=True)])
    assert np.abs((anchors - expected + 0.5) % 1 - 0.5).max() < 1e-9
    for values in (x, z):
        counts = np.histogram(values, bins=10, range=(0, 1))[0]
        assert np.abs(counts - 2000).max() < 4 * np.sqrt(2000 * 0.9)  # n = 20,000, 4 errors


def test_numbers_of_relabellings():
    by_size = {}
    for group in GROUPS:
        by_size.setdefault(len(group.relabellings), []).append(group.number)
    found = {size: len(numbers) for size, numbers in by_size.items()}
    assert found == {1: 66, 2: 94, 4: 33, 6: 6, 8: 20, 12: 5, 24: 2, 48: 4}
    assert by_size[48] == [16, 22, 47, 48]
    assert sum(len(group.relabellings) for group in GROUPS) == 882
    assert len(space_group(15).relabellings) == 8


@every_family
def test_relabellings_are_a_group_and_keep_what_a_position_is(family):
    for group in of(family):
        maps = {tuple(row) for row in group.relabellings.tolist()}
        assert len(maps) == len(group.relabellings)
        assert group.relabellings[0].tolist() == list(range(len(group.positions)))
        for one in maps:
            assert tuple(np.argsort(one)) in maps
            assert all(tuple(one[i] for i in other) in maps for other in maps)
            for position, new in zip(group.positions, one, strict=True):
                there = group.positions[new]
                assert (position.multiplicity, position.free) == (there.multiplicity, there.free)


def test_known_relabellings():
    rutile = {(row[0], row[5]) for row in space_group(136).relabellings.tolist()}
    assert {(LETTERS[a], LETTERS[f]) for a, f in rutile} == {
        ("a", "f"), ("b", "g"), ("b", "f"), ("a", "g"),
    }  # fmt: skip
    salt = {named(space_group(225), row)[:2] for row in space_group(225).relabellings}
    assert salt == {"ab", "ba"}
    for row in space_group(68).relabellings:
        letters = named(space_group(68), row)
        assert (letters[2:4] == "dc") == (letters[4:6] == "fe")


def test_polar_and_mirrored_groups():
    assert sum(group.polar for group in GROUPS) == 68
    pairs = {(group.mirrored, group.number) for group in GROUPS if group.mirrored != group.number}
    assert len(pairs) == 11
    assert {(76, 78), (212, 213), (178, 179)} <= pairs


@pytest.mark.parametrize(
    "text", [136, "136", " 136 ", "P4_2/mnm", "P42/mnm", "P 4_2/m n m", "p42/MNM", np.int64(136)]
)
def test_groups_are_found_by_number_and_symbol(text):
    assert group_number(text) == 136


def test_every_symbol_is_the_name_of_one_group():
    assert [group_number(group.symbol) for group in GROUPS] == list(range(1, 231))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (0, "from 1 to 230, got 0"),
        (231, "from 1 to 230, got 231"),
        ("999", "from 1 to 230, got 999"),
        (True, "number or a symbol, got True"),
        (1.5, "number or a symbol, got 1.5"),
        (None, "number or a symbol, got None"),
        ("Fm3m", "No space group has the symbol 'Fm3m'.*Similar: Fm-3m"),
        ("", "No space group has the symbol ''"),
    ],
)
def test_no_group_of_that_name(wrong, words):
    with pytest.raises(InputError, match=words):
        group_number(wrong)


@pytest.mark.parametrize("letter", ["z", "A", "", "ab"])
def test_letters_that_do_not_exist(letter):
    with pytest.raises(InputError, match=r"Fm-3m \(number 225\) has no Wyckoff position.*a to l"):
        space_group(225).position(letter)
    with pytest.raises(InputError, match="only a"):
        space_group(1).position("b")
