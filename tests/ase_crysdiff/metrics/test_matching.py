"""Which structures the matcher calls the same crystal."""

import numpy as np
import pytest
from golden_crystals import chain, decorated, double_perovskite, quartz, rocksalt
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from ase_crysdiff.metrics.matching import formula_key, match, reduced
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.testing.crystals import prototypes

PROTOTYPES = prototypes()


def same(a, b):
    forward, backward = match(reduced(a), reduced(b)), match(reduced(b), reduced(a))
    assert forward == backward
    return forward


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param(rocksalt(), rocksalt().get_primitive_structure(), True, id="G1 primitive"),
        pytest.param(rocksalt(), rocksalt() * (2, 1, 1), True, id="G1 supercell"),
        pytest.param(rocksalt(), rocksalt(5.64 * 2.5 ** (1 / 3)), True, id="G2 2.5 volumes"),
        pytest.param(rocksalt(), rocksalt(5.64 * 2), True, id="G2 8 volumes"),
        pytest.param(
            rocksalt(),
            rocksalt(group="F-43m", second=(0.25, 0.25, 0.25)),
            False,
            id="G3 zinc blende",
        ),
        pytest.param(rocksalt(), rocksalt(4.1, group="Pm-3m"), False, id="G4 CsCl"),
        pytest.param(chain(0), chain(0.37), True, id="G5 largest distance 0.296"),
        pytest.param(chain(0), chain(0.38), False, id="G5 largest distance 0.304"),
        pytest.param(chain(0), chain(0.4), False, id="G6 rms 0.16 would match"),
        pytest.param(chain(0), chain(0.3), True, id="G7 a b"),
        pytest.param(chain(0.3), chain(0.6), True, id="G7 b c"),
        pytest.param(chain(0), chain(0.6), False, id="G7 a c"),
        pytest.param(
            PROTOTYPES["SrTiO3"], double_perovskite(0.24), True, id="G8 within the tolerance"
        ),
        pytest.param(
            PROTOTYPES["SrTiO3"], double_perovskite(0.26), False, id="G8 beyond the tolerance"
        ),
        pytest.param(
            rocksalt(), decorated(rocksalt(), {"Na": 1, "Cl": -1}), True, id="G9 oxidation states"
        ),
        pytest.param(quartz(1), quartz(-1), True, id="G10 quartz"),
        pytest.param(rocksalt(), rocksalt(symbols=("Cl", "Na")), True, id="exchanged sites"),
        pytest.param(rocksalt(), rocksalt(symbols=("K", "Cl")), False, id="other elements"),
    ],
)
def test_golden_matches(a, b, expected):
    assert same(a, b) is expected


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(PROTOTYPES)),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-1, 1)), max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_another_description_of_a_crystal_matches(name, shears, seed):
    """G11: unimodular change of the cell, rotation or reflection, translation, permutation of
    atoms.
    """
    base = PROTOTYPES[name]
    change = np.eye(3, dtype=int)
    for row, column, factor in shears:
        if row != column:
            change[row] += factor * change[column]
    generator = np.random.default_rng(seed)
    q, _ = np.linalg.qr(generator.standard_normal((3, 3)))
    order = generator.permutation(len(base))
    frac = base.frac_coords @ np.linalg.inv(change) + generator.random(3)
    other = Structure(
        Lattice(change @ base.lattice.matrix @ q), [base.species[i] for i in order], frac[order]
    )
    assert other.volume == pytest.approx(base.volume)
    assert formula_key(other) == formula_key(base)
    assert same(base, other)
    assert uniqueness([base, other]).value == 0.5


def test_reduction_leaves_its_input_alone():
    structure = decorated(rocksalt() * (2, 1, 1), {"Na": 1, "Cl": -1})
    before = structure.copy()
    assert len(reduced(structure)) == 2
    assert structure == before


def test_formula_key_ignores_multiples_and_order():
    assert formula_key(rocksalt()) == formula_key(rocksalt(symbols=("Cl", "Na")) * (3, 1, 1))
    assert formula_key(rocksalt()) != formula_key(PROTOTYPES["SrTiO3"])
