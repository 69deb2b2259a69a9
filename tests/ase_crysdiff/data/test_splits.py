import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.splits import by_shares, digest, folds, groups_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=30, max_size=80), st.integers(0, 3))
def test_no_row_and_no_group_is_in_two_parts(groups, seed):
    if len(set(groups)) < 5:
        return
    for split in [by_shares(groups, 0.1, 0.1, seed), *folds(groups, 3, 0.2, seed)]:
        parts = [split.train, split.validation, split.test]
        assert sorted(sum(parts, ())) == list(range(len(groups)))
        held = [{groups[i] for i in part} for part in parts]
        assert sum(map(len, held)) == len(set(groups))


def test_a_group_that_holds_most_rows_trains():
    for seed in range(20):
        split = by_shares([0] * 26 + [1, 2, 3, 4], 0.1, 0.1, seed)
        assert min(len(split.train), len(split.validation), len(split.test)) > 0
        if len(split.test) < 10 > len(split.validation):
            assert 0 in split.train
    assert len(by_shares([0] * 26 + [1], 0.1, 0.0, 0).train) == 26


def test_folds_test_every_row_once():
    splits = folds(list(range(23)), 5, 0.2, 0)
    assert sorted(i for split in splits for i in split.test) == list(range(23))
    assert {len(split.test) for split in splits} == {4, 5}


def test_shares_are_kept_and_seeds_matter():
    one, other = by_shares(list(range(100)), 0.1, 0.2, 0), by_shares(list(range(100)), 0.1, 0.2, 1)
    assert (len(one.train), len(one.validation), len(one.test)) == (70, 10, 20)
    assert one == by_shares(list(range(100)), 0.1, 0.2, 0) != other
    assert by_shares(list(range(10)), 0.2, 0.0, 0).test == ()


def test_groups():
    p = prototypes()
    crystals = from_structures([p["NaCl"], p["NaCl"] * (2, 1, 1), p["SrTiO3"], p["Cu"]])
    assert len(set(groups_of(crystals, "random"))) == 4
    for kind in ("composition", "chemical-system"):
        a, b, c, d = groups_of(crystals, kind)
        assert a == b
        assert len({a, c, d}) == 3
    oxides = from_structures([p["SrTiO3"], p["SrTiO3"].copy().replace(0, "O") or p["SrTiO3"]])
    assert len(groups_of(oxides, "chemical-system")) == 2
    with pytest.raises(InputError, match="chemical-system"):
        groups_of(crystals, "scaffold")


def test_digests_do_not_depend_on_the_order():
    assert digest(["a", "b"]) == digest(["b", "a"]) != digest(["a", "c"])
    split = by_shares([0, 1, 2, 3], 0.25, 0.25, 0)
    names = ["w", "x", "y", "z"]
    assert split.digests(names)["test"] == digest([names[i] for i in split.test])


def test_what_cannot_be_split_is_refused():
    with pytest.raises(InputError, match="leave nothing for"):
        by_shares([0, 0, 0], 0.2, 0.2, 0)
    with pytest.raises(InputError, match="leave rows to train on"):
        by_shares([0, 1, 2], 0.5, 0.5, 0)
    with pytest.raises(InputError, match="cannot be split into 4 folds"):
        folds([0, 1, 2], 4, 0.2, 0)
