"""Which groups hold which numbers of atoms, against published counts and plain enumeration."""

from collections import Counter
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.feasible import (
    feasible,
    feasible_groups,
    feasible_units,
    number_of_scaffolds,
)
from ase_crysdiff.symmetry.tables import space_group


def enumerated(number, counts):
    """Scaffolds counted one by one."""
    positions = space_group(number).positions

    def choices(need):
        smallest = min(p.multiplicity for p in positions)
        return [
            chosen
            for size in range(1, need // smallest + 1)
            for chosen in combinations_with_replacement(range(len(positions)), size)
            if sum(positions[i].multiplicity for i in chosen) == need
        ]

    return sum(
        all(times == 1 or positions[i].free for i, times in Counter(sum(chosen, ())).items())
        for chosen in product(*(choices(need) for need in counts))
    )


@pytest.mark.parametrize(
    ("counts", "groups", "total", "by_group"),
    [
        ((1, 1), 68, 642, {1: 1, 62: 0, 136: 0, 221: 2, 225: 2, 227: 0}),
        ((2, 4), 166, 46_219, {1: 1, 62: 0, 136: 10, 221: 0, 225: 0, 227: 4}),
        ((1, 1, 3), 58, 19_506, {1: 1, 62: 0, 136: 0, 221: 4, 225: 0, 227: 0}),
        ((2, 4, 8), 166, 209_841_815, {1: 1, 62: 0, 136: 144, 221: 0, 225: 0, 227: 4}),
        pytest.param(
            (4, 4, 4, 16),
            189,
            37_475_519_514_380,
            {1: 1, 62: 57, 136: 13_902, 227: 6},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_numbers_of_scaffolds(counts, groups, total, by_group):
    found = {number: number_of_scaffolds(number, counts) for number in range(1, 231)}
    assert {number: found[number] for number in by_group} == by_group
    assert sum(found.values()) == total
    assert sum(number > 0 for number in found.values()) == groups
    assert feasible_groups(counts) == [number for number in found if found[number]]


def test_salt_cannot_fill_the_cube_twice():
    assert [number_of_scaffolds(221, (z, z)) for z in (1, 2, 3, 4)] == [2, 0, 2, 4]
    assert feasible_units(221, (1, 1), 8) == [1, 3, 4]
    assert [number_of_scaffolds(62, (z, z)) for z in (1, 2, 4)] == [0, 0, 7]
    assert feasible_units(62, (1, 1), 9) == [4]
    assert feasible_units(62, (1, 1), 7) == []


def test_counting_is_enumeration():
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(150):
        number = int(random.integers(1, 231))
        counts = random.integers(1, 5, random.integers(1, 4)).tolist()
        found = enumerated(number, counts)
        assert number_of_scaffolds(number, counts) == found, (number, counts)
        assert feasible(number, counts) == (found > 0), (number, counts)
        seen.add(found > 0)
    assert seen == {True, False}


def test_feasible_is_that_there_is_a_scaffold():
    random = np.random.default_rng(1)
    for _ in range(200):
        number = int(random.integers(1, 231))
        counts = random.integers(1, 13, random.integers(1, 5)).tolist()
        assert feasible(number, counts) == (number_of_scaffolds(number, counts) > 0)


def test_a_fixed_position_is_not_shared():
    assert not feasible(225, [1, 1, 1])
    assert feasible(225, [1, 1, 2])


@pytest.mark.parametrize("counts", [[], [0], [1, 0], [-1]])
def test_no_atoms_are_refused(counts):
    for ask in (feasible, number_of_scaffolds):
        with pytest.raises(InputError, match="whole numbers above 0"):
            ask(225, counts)
    with pytest.raises(InputError, match="whole numbers above 0"):
        feasible_units(225, counts, 20)
