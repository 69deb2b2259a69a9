"""Which formulas are asked for."""

import pytest

from ase_crysdiff.campaigns.discovery.formulas import formulas_for
from ase_crysdiff.campaigns.discovery.wish import Wish, formula_text
from ase_crysdiff.crystal.charge_balance import has_balance, is_ionic
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.fingerprints import open_hull
from pymatgen_ext import StructureSampler
from pymatgen_ext.discovery import _wish


@pytest.fixture(scope="module")
def formulas():
    sampler = StructureSampler("prototypes").sampler

    def ask(wish, **more):
        if isinstance(wish, str):
            wish = _wish(wish, None, None, None, None)
        return formulas_for(wish, sampler.library, sampler.vote, open_hull())

    return ask


def test_known_stable_compounds_come_first(formulas):
    found, note = formulas("Sr-Ti-O")
    first = {formula_text(tuple(sorted(f.contents, reverse=True))) for f in found[:5]}
    assert {"SrTiO3", "Sr2TiO4", "Sr3Ti2O7"} <= first
    assert "5 stable compounds are known" in note


def test_ionic_formulas_balance_and_alloys_need_not(formulas):
    found, _ = formulas("Na-V-P-O")
    assert len(found) > 100
    for formula in found[10:]:
        assert is_ionic(dict(formula.contents))
        assert has_balance(dict(formula.contents))
    alloys, _ = formulas("Ti-Ni-Sn")
    assert not has_balance(dict(alloys[0].contents))


def test_elements_give_the_formulas_of_all_their_systems(formulas):
    found, _ = formulas(Wish(elements=frozenset({3, 25, 8})))
    systems = {frozenset(z for z, _ in f.contents) for f in found}
    assert {frozenset({3, 8}), frozenset({25, 8}), frozenset({3, 25, 8})} <= systems


def test_a_formula_is_taken_as_it_is_written(formulas):
    found, _ = formulas("Ti2O4")
    assert [f.contents for f in found] == [((22, 2), (8, 4))]


def test_a_symmetry_leaves_formulas_to_samplers_that_draw_freely(formulas):
    assert formulas(Wish(chemical_system=frozenset({22, 8}), space_group=136))[0] == []


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({}, "Nothing is wished"),
        ({"composition": ((8, 1),), "elements": frozenset({8})}, "one of a formula"),
        ({"elements": frozenset(range(1, 12))}, "11 elements"),
        ({"elements": frozenset({8}), "windows": {"band-gap": (2.0, 1.0)}}, "no value"),
    ],
)
def test_senseless_wishes_are_refused(wish, words):
    with pytest.raises(InputError, match=words):
        Wish(**wish)


def test_a_wish_says_what_it_is():
    wish = Wish(chemical_system=frozenset({8, 3, 25}), windows={"band-gap": (1.0, float("inf"))})
    assert str(wish) == "Li-Mn-O with band-gap from 1"
