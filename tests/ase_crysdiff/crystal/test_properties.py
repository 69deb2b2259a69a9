"""Declared properties: what can be wished, and how messages speak of them."""

import math

import pytest

from ase_crysdiff.crystal.properties import declared, listed
from ase_crysdiff.errors import InputError

ENTRIES = {
    "band_gap": {"kind": "number", "unit": "eV", "range": [0.0, 9.1], "mean": 1.0, "scale": 1.5},
    "crystal_system": {"kind": "class", "classes": ["cubic", "hexagonal"]},
    "chemical_system": {"kind": "elements"},
}
GAP, SYSTEM, ELEMENTS = declared(ENTRIES).values()


def test_what_a_config_holds_comes_back():
    assert {name: one.as_plain() for name, one in declared(ENTRIES).items()} == ENTRIES


def test_names_alone_are_numbers_of_which_nothing_is_known():
    (one,) = declared(["energy_above_hull"]).values()
    assert (one.kind, one.range) == ("number", None)
    assert not one.outside(1e9)
    assert declared(None) == {}


def test_messages_name_units_and_ranges():
    assert str(GAP) == "band_gap (0 to 9.1 eV)"
    assert "crystal_system (2 classes: cubic, hexagonal)" in listed([GAP, SYSTEM])
    assert listed([]) == "no property"


@pytest.mark.parametrize(
    ("one", "wish", "row"),
    [
        (GAP, 1.5, [1.5]),
        (GAP, (1.5, 2.5), [1.75]),
        (SYSTEM, "hexagonal", [1.0]),
        (ELEMENTS, frozenset({3, 8}), [float(z in (3, 8)) for z in range(100)]),
    ],
)
def test_a_wish_becomes_a_row(one, wish, row):
    assert one.row(one.checked(wish), 0.25) == row


@pytest.mark.parametrize(
    ("one", "wish", "message"),
    [
        (GAP, "wide", "a number or a window of two"),
        (GAP, (2.5, 1.5), "a number or a window of two"),
        (GAP, math.inf, "a number or a window of two"),
        (GAP, True, "a number or a window of two"),
        (SYSTEM, "hexagnal", "Did you mean 'hexagonal'"),
        (SYSTEM, 1.5, "the name of a class"),
        (ELEMENTS, "Li-O", "elements, such as"),
    ],
)
def test_what_is_no_wish_is_refused(one, wish, message):
    with pytest.raises(InputError, match=message):
        one.checked(wish)


def test_targets_beyond_the_training_are_known():
    assert [GAP.outside(x) for x in (-0.1, 0.0, 9.1, 9.2, (8.0, 9.0), (8.0, 10.0))] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "colour"}, "kind of x is one of"),
        ({"kind": "class"}, "has no classes"),
        ({"scale": 0.0}, "scale above 0"),
        ({"shade": 1}, "does not take"),
    ],
)
def test_declarations_that_make_no_sense_are_refused(entry, message):
    with pytest.raises(InputError, match=message):
        declared({"x": entry})
