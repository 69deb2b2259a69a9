"""Golden cases of match rates, twins of every estimate, and comparisons that hang or die."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from golden_crystals import chain, double_perovskite, quartz, rocksalt
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics import match_rate as match_rate_module
from ase_crysdiff.metrics import metre as metre_module
from ase_crysdiff.metrics.match_rate import (
    Comparison,
    Pair,
    compare,
    crmse,
    diffcsp,
    match_rate,
    rmse,
    volume_error,
)
from ase_crysdiff.metrics.matching import CSP_TOLERANCE, reduced, rms_distance
from ase_crysdiff.metrics.metre import metre
from ase_crysdiff.metrics.sample_counts import best_of, top
from ase_crysdiff.testing.crystals import prototypes, rattled
from pymatgen_ext.evaluation import evaluate

PROTOTYPES = prototypes()
RAW = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10)


ZINC_BLENDE = rocksalt(group="F-43m", second=(0.25, 0.25, 0.25))
CESIUM_CHLORIDE = rocksalt(4.1, group="Pm-3m")
JUNK = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]])


def decorated(structure):
    copy = structure.copy()
    copy.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    return copy


def spread(formula):
    """A crystal of this composition whose atoms are far from each other."""
    return Structure(
        Lattice.orthorhombic(4, 4, 3.0 * len(formula)),
        formula,
        [[0, 0, i / len(formula)] for i in range(len(formula))],
    )


def only(prediction, target):
    return compare([[prediction]], [target]).pairs[0][0]


def table(*rows, formula=(("Cl", 1), ("Na", 1))):
    """A comparison with these distances."""
    pairs = tuple(tuple(Pair(r, None if r is None else 2 * r) for r in row) for row in rows)
    return Comparison(pairs, (formula,) * len(rows))


# The relation


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param(rocksalt(), rocksalt().get_primitive_structure(), 0, id="G1 primitive"),
        pytest.param(rocksalt() * (2, 1, 1), rocksalt(), 0, id="G1 supercell"),
        pytest.param(rocksalt(5.64 * 2.5 ** (1 / 3)), rocksalt(), 0, id="G2 2.5 volumes"),
        pytest.param(rocksalt(5.64 * 2), rocksalt(), 0, id="G2 8 volumes"),
        pytest.param(ZINC_BLENDE, rocksalt(), math.sqrt(3) / 4, id="G3 zinc blende"),
        pytest.param(CESIUM_CHLORIDE, rocksalt(), None, id="G4 CsCl"),
        pytest.param(chain(0.1), chain(0), 0.04, id="G5 t = 0.1"),
        pytest.param(chain(0.4), chain(0), 0.16, id="G6 accepted on the RMS"),
        pytest.param(chain(0.6), chain(0), 0.24, id="G7 ends of the chain"),
        pytest.param(
            double_perovskite(0.26), PROTOTYPES["SrTiO3"], None, id="G8 beyond the tolerance"
        ),
        pytest.param(decorated(rocksalt()), rocksalt(), 0, id="G9 charged prediction"),
        pytest.param(rocksalt(), decorated(rocksalt()), 0, id="G9 charged target"),
        pytest.param(quartz(1), quartz(-1), 0, id="G10 quartz"),
    ],
)
def test_golden_distances(a, b, expected):
    pair = only(a, b)
    assert pair.failure is None
    if expected is None:
        assert pair.distance is None
    else:
        assert pair.distance == pytest.approx(expected, abs=1e-6)
        assert pair.volume_error == pytest.approx(
            abs(a.volume / len(a) / (b.volume / len(b)) - 1), abs=1e-12
        )


def test_volume_is_reported_since_the_distance_is_blind_to_it():
    assert only(rocksalt(5.64 * 2), rocksalt()).volume_error == pytest.approx(7)


@settings(max_examples=12, deadline=None)
@example(2, 133, 0.125)
@example(2, 135, 0.125)
@given(st.integers(0, 4), st.integers(0, 2**31), st.floats(0.01, 0.15))
def test_distance_is_that_of_the_plain_matcher(kind, seed, deviation):
    target = list(PROTOTYPES.values())[kind]
    generator = np.random.default_rng(seed)
    noise = deviation * generator.standard_normal((len(target), 3))
    strain = np.eye(3) + 0.05 * generator.standard_normal((3, 3))
    prediction = Structure(
        Lattice(target.lattice.matrix @ strain), target.species, target.frac_coords + noise
    )
    # Far from a match the plain matcher's answer hangs on the order of sites; ours sorts them.
    by_element = {"key": lambda site: site.specie.Z}
    raw = RAW.get_rms_dist(
        prediction.get_sorted_structure(**by_element), target.get_sorted_structure(**by_element)
    )
    ours = rms_distance(reduced(prediction), reduced(target))
    assert (raw is None) == (ours is None)
    if raw is not None:
        assert ours == pytest.approx(raw[0], abs=1e-6)


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [
        (None, "no structure"),
        (Structure(Lattice.cubic(4), [], []), "no atoms"),
        (Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [np.nan, 0, 0]]), "not finite"),
        (Structure(Lattice.cubic(1e-3), ["Na"], [[0, 0, 0]]), "volume below"),
        (Structure(Lattice.orthorhombic(40, 40, 0.01), ["Na"], [[0, 0, 0]]), "thinner"),
        (JUNK, "closer"),
        (rocksalt(symbols=("K", "Cl")), "another composition"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_unsound_predictions_never_reach_the_matcher(prediction, reason, monkeypatch):
    def rms_distance(prediction, target):
        raise AssertionError("the matcher was asked")

    monkeypatch.setattr(match_rate_module, "rms_distance", rms_distance)
    asked = compare([[rocksalt()]], [rocksalt()]).pairs[0][0]
    assert asked.failure == "AssertionError: the matcher was asked"
    result = match_rate(compare([[prediction]], [rocksalt()]))
    assert result.value == 0
    assert reason in result.failures[0]


# The numbers


def test_two_targets_golden():
    comparison = compare([[chain(0.1)], [None]], [chain(0), rocksalt()])
    assert match_rate(comparison).value == 0.5
    assert match_rate(comparison).per_structure == (True, False)
    assert match_rate(comparison).failures == {1: "no structure"}
    assert rmse(comparison).value == pytest.approx(0.04, abs=1e-6)
    assert crmse(comparison).value == pytest.approx(0.27, abs=1e-6)
    assert rmse(comparison).per_structure == (pytest.approx(0.04, abs=1e-6), None)
    assert match_rate(comparison).settings["stol"] == 0.5


def test_best_of_several_samples_counts():
    comparison = compare([[CESIUM_CHLORIDE, ZINC_BLENDE, None, rocksalt(7)]], [rocksalt()])
    assert match_rate(comparison).per_structure == (False, True, False, True)
    assert rmse(comparison).value == pytest.approx(0, abs=1e-6)
    assert volume_error(comparison).value == pytest.approx((7 / 5.64) ** 3 - 1)


DISTANCE = st.none() | st.floats(0, 0.499)
ROWS = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.tuples(*k * [DISTANCE]), min_size=1, max_size=4)
)


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_three_numbers_agree(rows):
    comparison = table(*rows)
    rate, mean, all_mean = match_rate(comparison), rmse(comparison), crmse(comparison)
    assert rate.interval[0] <= rate.value <= rate.interval[1]
    assert 0 <= all_mean.value <= CSP_TOLERANCE
    matched = 0 if rate.value == 0 else mean.value * rate.value
    assert all_mean.value == pytest.approx(CSP_TOLERANCE * (1 - rate.value) + matched)
    assert math.isnan(mean.value) == (rate.value == 0)


def test_targets_with_different_numbers_of_samples():
    comparison = compare([[rocksalt(), None], [None], [CESIUM_CHLORIDE] * 3], [rocksalt()] * 3)
    assert match_rate(comparison).value == pytest.approx(1 / 3)
    assert match_rate(comparison).settings["samples"] == [1, 2, 3]
    assert match_rate(comparison).failures == {1: "no structure", 2: "no structure"}
    assert list(best_of(comparison)) == list(top(comparison)) == [1]


# DiffCSP's convention


@pytest.mark.parametrize(
    ("formula", "allowed"),
    [(["Fe"] * 3 + ["O"] * 4, 0), (["K", "O", "O"], 0), (["Na", "Cl"], 1), (["Na", "K"], 1)],
    ids=["Fe3O4", "KO2", "NaCl", "NaK"],
)
def test_filter_of_compositions_golden(formula, allowed):
    target = spread(formula)
    comparison = compare([[target]], [target])
    assert match_rate(comparison).value == 1
    filtered = diffcsp(comparison)
    assert match_rate(filtered).value == allowed
    assert match_rate(filtered).settings["ceiling"] == allowed
    assert match_rate(filtered).settings["smact"]
    assert math.isnan(rmse(filtered).value) == (not allowed)


# METRe


def both(predictions, targets):
    comparison = compare(predictions, targets)
    found, mean = metre(comparison, predictions, targets)
    return match_rate(comparison).value, found.value, mean.value


def test_metre_golden():
    a, b = rocksalt(), CESIUM_CHLORIDE
    assert both([[b], [a]], [a, b])[:2] == (0, 1)
    assert both([[a], [a]], [a, b]) == (0.5, 0.5, pytest.approx(0.25, abs=1e-6))
    assert both([[a], [JUNK]], [a, a])[:2] == (0.5, 1)
    assert both([[rocksalt(symbols=("K", "Cl"))], [a]], [a, rocksalt(symbols=("K", "Cl"))])[:2] == (
        0,
        0,
    )


def test_metre_does_not_depend_on_order_and_is_at_least_the_match_rate():
    targets = [rocksalt(), CESIUM_CHLORIDE, ZINC_BLENDE, chain(0)]
    samples = [CESIUM_CHLORIDE, rocksalt(6), None]
    values = [
        both([[s] for s in order] + [[chain(0.2)]], targets)
        for order in itertools.permutations(samples)
    ]
    assert {v[1] for v in values} == {values[0][1]}
    np.testing.assert_allclose([v[2] for v in values], values[0][2], atol=1e-9)
    assert all(v[0] <= v[1] for v in values)
    assert len({v[0] for v in values}) > 1


def test_metre_begins_no_work_without_end(monkeypatch):
    monkeypatch.setattr(metre_module, "MAX_PAIRS", 1)
    predictions, targets = [[rocksalt()], [rocksalt()]], [rocksalt(), CESIUM_CHLORIDE]
    comparison = compare(predictions, targets)
    found, mean = metre(comparison, predictions, targets)
    assert math.isnan(found.value)
    assert math.isnan(mean.value)
    assert "pairs" in found.settings["skipped"]


# Input


def test_nonsense_is_explained():
    with pytest.raises(InputError, match="no targets"):
        compare([], [])
    with pytest.raises(InputError, match="2 targets need"):
        compare([[None]], [rocksalt()] * 2)
    with pytest.raises(InputError, match="no prediction"):
        compare([[]], [rocksalt()])
    with pytest.raises(InputError, match="Target 1 cannot be a target: two atoms closer"):
        compare([[None], [None]], [rocksalt(), JUNK])


def test_known_pairs_are_not_compared_again():
    seen = []
    known = {(0, 0): Pair(0.123, 0.0)}
    predictions = [[rocksalt(), rocksalt()], [None, None]]
    comparison = compare(
        predictions, [rocksalt()] * 2, known=known, on_pair=lambda key, pair: seen.append(key)
    )
    assert seen == [(0, 1), (1, 0), (1, 1)]
    assert comparison.pairs[0][0].distance == 0.123


# Processes


def test_workers_change_nothing():
    targets = rattled(4)
    predictions = [[t, PROTOTYPES["SrTiO3"], None] for t in rattled(4, seed=1, deviation=0.03)]
    here, there = (compare(predictions, targets, workers=n) for n in (0, 2))
    assert replace(there, pairs=()) == replace(here, pairs=())
    assert len(there.pairs) == len(here.pairs)
    for row, other in zip(here.pairs, there.pairs, strict=True):
        for pair, same in zip(row, other, strict=True):
            assert same.failure == pair.failure
            # Another process may round the last digit otherwise.
            assert same.distance == pytest.approx(pair.distance, abs=1e-9)
            assert same.volume_error == pytest.approx(pair.volume_error, abs=1e-9)
    assert match_rate(here).value > 0.5


def test_evaluate_with_targets():
    targets = [rocksalt(), CESIUM_CHLORIDE]
    results = evaluate([None, rocksalt(6), rocksalt(), ZINC_BLENDE], targets=targets, workers=0)
    assert {
        k: r.value for k, r in results.items() if k in ("match_rate", "match_rate_diffcsp", "metre")
    } == {
        "match_rate": 0.5,
        "match_rate_diffcsp": 0.5,
        "metre": 0.5,
    }
    for name in ("rmse", "rmse_diffcsp", "crmse", "metre_crmse", "volume_error"):
        assert len(results[name].per_structure) == 4
        assert results[name].value == results[name].value
    assert results["match_rate"].per_structure == (False, True, False, False)
    assert results["match_rate"].failures == {0: "no structure"}
    with pytest.raises(InputError, match="3 structures cannot be shared out"):
        evaluate([None] * 3, targets=targets, workers=0)
    with pytest.raises(InputError, match="among 0 targets"):
        evaluate([None] * 3, targets=[], workers=0)
