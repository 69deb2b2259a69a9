"""Uniqueness and novelty: golden cases, and properties that hold for any input."""

import itertools

import pytest
from golden_crystals import (
    broken,
    chain,
    decorated,
    double_perovskite,
    moved,
    rocksalt,
    turned,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.testing.crystals import prototypes, rattled

PROTOTYPES = prototypes()


@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
def test_chain_is_one_class_in_every_order(order):
    links = {"a": chain(0), "b": chain(0.3), "c": chain(0.6)}
    result = uniqueness([links[x] for x in order])
    assert result.value == pytest.approx(1 / 3)
    assert result.per_structure == (True, False, False)


def test_ends_of_the_chain_alone_are_two_classes():
    assert uniqueness([chain(0), chain(0.6)]).value == 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_copies_are_one_crystal(count):
    assert uniqueness([rocksalt()] * count).value == pytest.approx(1 / count)


def test_polymorphs_are_different_crystals():
    assert (
        uniqueness(
            [rocksalt(), rocksalt(4.1, group="Pm-3m"), rocksalt(group="F-43m", second=(0.25,) * 3)]
        ).value
        == 1
    )


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_order_changes_nothing_and_doubling_halves(picks, random):
    pool = [*rattled(10, deviation=0.05), None, broken()["closer"]]
    chosen = [pool[i] for i in picks]
    mixed = random.sample(chosen, len(chosen))
    value = uniqueness(chosen).value
    assert uniqueness(mixed).value == value
    assert uniqueness(chosen + mixed).value == pytest.approx(value / 2)
    reference = Reference(pool[:3])
    known = novelty(chosen, reference).value
    assert novelty(mixed, reference).value == known
    assert novelty(chosen + mixed, reference).value == pytest.approx(known)


# Novelty


@pytest.mark.parametrize(
    ("structure", "value"),
    [
        pytest.param(rocksalt(), 0, id="copy"),
        pytest.param(turned(rocksalt()), 0, id="turned"),
        pytest.param(rocksalt() * (2, 1, 1), 0, id="supercell"),
        pytest.param(rocksalt().get_primitive_structure(), 0, id="primitive"),
        pytest.param(moved(rocksalt().get_primitive_structure(), 0.05), 0, id="perturbed"),
        pytest.param(decorated(rocksalt(), {"Na": 1, "Cl": -1}), 0, id="decorated"),
        pytest.param(rocksalt(6.29, ("K", "Cl")), 1, id="other chemistry"),
        pytest.param(rocksalt(4.1, group="Pm-3m"), 1, id="other prototype"),
        pytest.param(None, 0, id="none"),
        pytest.param(
            Structure(Lattice.cubic(4), ["K", "Br"], [[0, 0, 0], [0.05, 0, 0]]), 0, id="unsound"
        ),
    ],
)
def test_novelty_golden(structure, value):
    assert novelty([structure], Reference([PROTOTYPES["SrTiO3"], rocksalt()])).value == value


def test_reference_is_not_novel_to_itself():
    known = rattled(15)
    assert novelty(known, Reference(known)).value == 0


def test_larger_reference_never_raises_novelty():
    samples, known = rattled(8, seed=1), rattled(10)
    values = [novelty(samples, Reference(known[:n])).value for n in range(1, 11)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] == 0


def test_novelty_beyond_the_tolerance_of_a_supercell_is_a_limit_of_the_matcher():
    """Documented: noise hides a known crystal in a larger cell."""
    assert novelty(
        [double_perovskite(0.24), double_perovskite(0.26)], Reference([PROTOTYPES["SrTiO3"]])
    ).per_structure == (
        False,
        True,
    )
