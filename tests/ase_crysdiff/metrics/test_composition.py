"""SMACT's rule on golden formulas, and against every combination tried."""

import itertools
from collections import Counter

import pytest
import smact
from golden_crystals import (
    decorated,
    rocksalt,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from ase_crysdiff.metrics.composition import compositional_validity, is_neutral

GOLDEN = {
    "NaCl": True,
    "NaCl2": False,
    "Fe3O4": False,
    "KO2": False,
    "TiO": True,
    "CO": True,
    "NO2": True,
    "SiC": True,
    "GaAs": True,
    "XeF4": True,
    "CsAu": True,
    "Nb3Sn": True,
    "HeNe": False,
    "LiFePO4": True,
    "MnO": True,
    "AuCl": True,
    "Na": True,
    "Cl": True,
    "He": True,
    "C": True,
    "NaK": True,
}


def spread(counts):
    """A structure with these counts, its atoms far from each other."""
    symbols = [s for s, n in counts for _ in range(n)]
    return Structure(
        Lattice.orthorhombic(5, 5, 5 * len(symbols)),
        symbols,
        [[0, 0, i / len(symbols)] for i in range(len(symbols))],
    )


def counts_of(formula):
    from pymatgen.core import Composition

    return sorted((s, int(n)) for s, n in Composition(formula).get_el_amt_dict().items())


@pytest.mark.parametrize(("formula", "expected"), GOLDEN.items(), ids=GOLDEN)
def test_smact_golden_table(formula, expected):
    counts = counts_of(formula)
    assert is_neutral(tuple(counts)) is expected
    assert compositional_validity([spread(counts)]).value == expected


@pytest.mark.parametrize("formula", GOLDEN)
def test_verdict_depends_on_the_formula_alone(formula):
    counts = counts_of(formula)
    for order in itertools.permutations(counts):
        for factor in (1, 2, 3):
            many = [(s, n * factor) for s, n in order]
            assert compositional_validity([spread(many)]).value == GOLDEN[formula]


def test_oxidation_states_given_by_the_structure_do_not_count():
    assert compositional_validity([decorated(rocksalt(), {"Na": 3, "Cl": -1})]).value == 1


def brute_force(counts):
    """CDVAE's rule as it is published: every combination of states, every pair of elements."""
    elements = [smact.Element(s) for s, _ in counts]
    if len(counts) == 1 or all(s in smact.metals for s, _ in counts):
        return True
    for states in itertools.product(*(e.oxidation_states or [] for e in elements)):
        ions = [(q, e.pauling_eneg) for q, e in zip(states, elements, strict=True)]
        ordered = all(x < y for (p, x), (q, y) in itertools.permutations(ions, 2) if p > 0 > q)
        if ordered and sum(q * n for q, (_, n) in zip(states, counts, strict=True)) == 0:
            return True
    return False


COMMON = [
    "H",
    "Li",
    "B",
    "C",
    "N",
    "O",
    "F",
    "Na",
    "Mg",
    "Si",
    "P",
    "S",
    "Cl",
    "Ti",
    "Mn",
    "Fe",
    "Ni",
    "Ge",
    "As",
    "Se",
    "Sb",
    "Te",
    "I",
    "Xe",
    "Ce",
    "Au",
    "Pb",
    "Bi",
    "U",
    "He",
]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(COMMON), st.integers(1, 4), min_size=1, max_size=4))
def test_neutrality_agrees_with_every_combination_tried(amounts):
    counts = tuple(sorted(amounts.items()))
    assert is_neutral(counts) is brute_force(counts)


def test_brute_force_sees_both_verdicts():
    """Otherwise the comparison above would prove little."""
    verdicts = Counter(
        brute_force(((a, 1), (b, n)))
        for a, b in itertools.combinations(sorted(COMMON), 2)
        for n in (1, 2, 3)
    )
    assert min(verdicts[True], verdicts[False]) > 100
