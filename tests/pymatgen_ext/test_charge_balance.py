"""Draws whose charge balances, and what a report says of the others (a new user's day, S4)."""

import random
from collections import Counter

import pytest
from pymatgen.core import Composition, Element, Lattice, Structure

from ase_crysdiff.crystal.charge_balance import has_balance
from ase_crysdiff.errors import IncompatibleError
from pymatgen_ext import StructureSampler
from pymatgen_ext.charge_balance import balance_notes

FORMULAS = (
    "MgO SrTiO3 Fe3O4 LiFePO4 YBa2Cu3O7 SrTiO5 Sr4TiO11 HeO Fe NaCl2 TaFe2Rh Li12Fe12P12N9O47"
)


def counts(formula):
    return Counter({Element(s).Z: int(n) for s, n in Composition(formula).as_dict().items()})


def crystal(*symbols):
    positions = [[i / len(symbols)] * 3 for i in range(len(symbols))]
    return Structure(Lattice.cubic(8), list(symbols), positions)


@pytest.mark.parametrize("formula", FORMULAS.split())
def test_the_verdict_is_that_of_pymatgen(formula):
    assert has_balance(counts(formula)) == bool(Composition(formula).oxi_state_guesses())


def test_the_verdict_on_formulas_by_chance_is_that_of_pymatgen():
    chance, balanced = random.Random(0), 0
    for _ in range(300):
        elements = {chance.randint(1, 95) for _ in range(chance.randint(0, 2))} | {
            chance.choice((7, 8, 9, 16, 17))
        }
        formula = {Element.from_Z(z).symbol: chance.randint(1, 4) for z in elements}
        found = has_balance({Element(s).Z: n for s, n in formula.items()})
        assert found == bool(Composition(formula).oxi_state_guesses()), formula
        balanced += found
    assert 50 < balanced < 250


def test_reports_name_formulas_that_no_chemist_would_look_at():
    assert balance_notes([crystal("Mg", "O"), crystal("Fe", "Rh"), crystal("O", "O")]) == ()
    helium, unbalanced = balance_notes(
        [crystal("Mg", "O"), crystal("He", "O"), crystal("Sr", "Ti", "O"), crystal("Ne")]
    )
    assert helium == "He in 1 crystals: it forms no compounds"
    assert unbalanced.startswith("2 of 3 crystals with an anion balance by no known oxidation")
    assert "SrTiO" in unbalanced
    assert "charge_balance=True" in unbalanced


def test_draws_balance_if_wished(miad):
    wish = {"chemical_system": "Na-O", "seed": 0, "redraws": 20, "progress": False}
    plain = miad.sample(8, **wish)
    assert any("with an anion" in note for note in plain.report.notes)
    found = miad.sample(8, **wish, charge_balance=True)
    assert len(found) > 0
    assert all(s.composition.oxi_state_guesses() for s in found)
    assert found.report.rejections["not charge-balanced"] > 0
    assert not any("with an anion" in note for note in found.report.notes)


def test_a_given_composition_leaves_nothing_to_balance():
    with pytest.raises(IncompatibleError, match="leaves nothing for charge_balance to decide"):
        StructureSampler("dao-g").sample(composition="TiO2", charge_balance=True)
