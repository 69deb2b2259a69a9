"""The table of elements is that of ASE and pymatgen."""

import warnings

import pytest
from ase.data import atomic_masses, chemical_symbols
from pymatgen.core import Element

from ase_crysdiff.crystal.elements import (
    ELECTRONEGATIVITIES,
    MASSES,
    SYMBOLS,
    atomic_number,
    by_electronegativity,
)
from ase_crysdiff.errors import InputError


def test_symbols_are_those_of_ase_and_pymatgen():
    assert list(SYMBOLS) == chemical_symbols
    for number in range(1, len(SYMBOLS)):
        assert Element.from_Z(number).symbol == SYMBOLS[number]
        assert atomic_number(SYMBOLS[number]) == number


def test_electronegativities_are_those_of_pymatgen():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of elements that have none
        values = [Element.from_Z(number).X for number in range(1, len(ELECTRONEGATIVITIES))]
    known = [0.0 if value != value else value for value in values]
    assert list(ELECTRONEGATIVITIES[1:]) == pytest.approx(known)


def test_masses_are_those_of_ase():
    assert list(MASSES[1:]) == pytest.approx(atomic_masses[1 : len(MASSES)], abs=6e-4)


def test_elements_are_ordered_by_electronegativity():
    symbols = sorted(
        ["O", "Ti", "Sr", "F", "Cs"], key=lambda s: by_electronegativity(atomic_number(s))
    )
    assert symbols == ["Cs", "Sr", "Ti", "O", "F"]


@pytest.mark.parametrize("symbol", ["Xx", "X", "", "na", "D"])
def test_other_words_are_no_elements(symbol):
    with pytest.raises(InputError, match="is the symbol of no element"):
        atomic_number(symbol)
