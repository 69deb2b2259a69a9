"""Match rates over the number of samples: of independent draws, and of ranked candidates."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crysdiff.metrics.match_rate import Comparison, Pair, match_rate, rmse, volume_error
from ase_crysdiff.metrics.sample_counts import best_of, top


def table(*rows):
    """A comparison with these distances; the error of the volume is twice the distance."""
    pairs = tuple(tuple(Pair(r, None if r is None else 2 * r) for r in row) for row in rows)
    return Comparison(pairs, tuple((("Na", 1),) for _ in rows))


DISTANCE = st.none() | st.floats(0, 0.499)
ROWS = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.tuples(*k * [DISTANCE]), min_size=1, max_size=4)
)


def best(choices):
    return [min((r for r in chosen if r is not None), default=None) for chosen in choices]


def check(among, expected):
    """Rate and means are those of the best distances of all targets."""
    hits = [r for r in expected if r is not None]
    assert among.match_rate.value == pytest.approx(len(hits) / len(expected))
    if hits:
        assert among.rmse == pytest.approx(np.mean(hits), abs=1e-9)
        assert among.volume_error == pytest.approx(2 * np.mean(hits), abs=1e-9)
    else:
        assert math.isnan(among.rmse)
        assert math.isnan(among.volume_error)


def test_draws_golden():
    points = best_of(table((None, 0.1, None, None)), (1, 2))
    rates = {n: among.match_rate.value for n, among in points.items()}
    assert rates == pytest.approx({1: 0.25, 2: 0.5, 4: 1})
    assert [among.rmse for among in points.values()] == pytest.approx([0.1] * 3)


def test_ranked_candidates_golden():
    """The order counts: a match at rank 2 is none among the first."""
    points = top(table((None, 0.1, 0.05), (0.2, None, 0.3)), (1, 2))
    rates = {n: among.match_rate.value for n, among in points.items()}
    assert rates == {1: 0.5, 2: 1, 3: 1}
    assert [among.rmse for among in points.values()] == pytest.approx([0.2, 0.15, 0.125])
    assert points[1].match_rate.settings["samples"] == 1


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_best_of_draws_is_the_mean_over_all_choices_of_them(rows):
    comparison = table(*rows)
    previous = 0.0
    for n, among in best_of(comparison, range(1, 7)).items():
        check(among, best(c for row in rows for c in itertools.combinations(row, n)))
        assert among.match_rate.value >= previous - 1e-12
        previous = among.match_rate.value
    assert previous == pytest.approx(match_rate(comparison).value)


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_top_is_the_best_of_the_first(rows):
    comparison = table(*rows)
    for n, among in top(comparison, range(1, 7)).items():
        check(among, best(row[:n] for row in rows))
    assert among.rmse == pytest.approx(rmse(comparison).value, nan_ok=True)
    assert among.volume_error == pytest.approx(volume_error(comparison).value, nan_ok=True)


def test_a_selection_of_targets_is_a_comparison_of_its_own():
    comparison = table((0.1,), (None,), (0.3,))
    assert match_rate(comparison.of([0, 2])).value == 1
    assert rmse(comparison.of([2])).value == pytest.approx(0.3)
    assert match_rate(comparison.of([1])).settings["targets"] == 1
