"""Forests and kernel regressions: what is stored answers as what was fitted."""

import numpy as np
import pytest

from ase_crysdiff.errors import MissingExtraError
from ase_crysdiff.predictors.averaging import best_weights
from ase_crysdiff.predictors.heads.boosting import BoostingSettings, boosted
from ase_crysdiff.predictors.heads.forest import Forest, ForestSettings
from ase_crysdiff.predictors.heads.kernel import KernelRidge, decompositions
from ase_crysdiff.predictors.heads.squash import Squash

ROWS = np.random.default_rng(0).normal(size=(120, 6))
VALUES = ROWS[:, 0] + np.sin(2 * ROWS[:, 1]) + 0.1 * ROWS[:, 2] ** 2


@pytest.mark.parametrize("extra", [False, True])
def test_stored_trees_answer_as_scikit_learn(extra):
    ensemble = pytest.importorskip("sklearn.ensemble")
    settings = ForestSettings(trees=7, extra=extra, share=0.5, leaf=2)
    kind = ensemble.ExtraTreesRegressor if extra else ensemble.RandomForestRegressor
    theirs = kind(7, max_features=0.5, min_samples_leaf=2, random_state=3)
    theirs.fit(ROWS.astype(np.float32), VALUES)
    forest = Forest.of_tensors(Forest.grown(ROWS, VALUES, settings, 3).tensors())
    asked = np.concatenate([ROWS, ROWS[::-1] * 1.3])
    assert np.allclose(forest.predict(asked), theirs.predict(asked), atol=1e-6)
    each = [tree.predict(asked.astype(np.float32)) for tree in theirs.estimators_]
    assert np.allclose(forest.moments(asked)[1], np.std(each, axis=0), atol=1e-6)
    assert np.abs(forest.predict(ROWS) - VALUES).mean() < 0.5 * VALUES.std()


def test_without_scikit_learn_a_forest_says_what_to_install(monkeypatch):
    import sys

    forest = Forest.grown(ROWS, VALUES, ForestSettings(trees=2), 0)
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        Forest.grown(ROWS, VALUES, ForestSettings(trees=2), 0)
    assert np.isfinite(forest.predict(ROWS)).all()


def test_a_kernel_regression_is_what_the_equations_say():
    """Against the plain formula, one block of standardised features."""
    (basis,) = decompositions(ROWS, [6], (0.3,))
    found = basis.solved(VALUES, 0.05)
    points = (ROWS - ROWS.mean(0)) / ROWS.std(0) / np.sqrt(6)
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    kernel = np.exp(-0.3 * squares)
    by_hand = kernel @ np.linalg.solve(kernel + 0.05 * np.eye(len(ROWS)), VALUES)
    assert np.allclose(found.predict(ROWS), by_hand, atol=2e-4)
    again = KernelRidge.of_tensors(found.tensors())
    assert np.array_equal(again.predict(ROWS), found.predict(ROWS))


def test_a_kernel_regression_on_a_few_rows_learns_from_all():
    """With kernels on all rows it is the regression itself; on a quarter it errs less than one
    that knows that quarter only.
    """
    (full,) = decompositions(ROWS, [6], (0.3,))
    (same,) = decompositions(ROWS, [6], (0.3,), np.arange(len(ROWS)))
    whole = full.solved(VALUES, 0.05)
    assert np.allclose(same.solved(VALUES, 0.05).predict(ROWS), whole.predict(ROWS), atol=1e-4)
    points = np.arange(0, len(ROWS), 4)
    (thrifty,) = decompositions(ROWS, [6], (0.3,), points)
    few = thrifty.solved(VALUES, 0.05)
    (alone,) = decompositions(ROWS[points], [6], (0.3,))
    errors = [
        np.abs(one.predict(ROWS) - VALUES).mean()
        for one in (few, alone.solved(VALUES[points], 0.05))
    ]
    assert errors[0] < 0.9 * errors[1]
    assert few.points.dtype == np.float16
    again = KernelRidge.of_tensors(few.tensors())
    assert np.array_equal(again.predict(ROWS), few.predict(ROWS))


def test_blocks_count_alike_and_constant_columns_do_not():
    """A block said twice counts as the same block with twice as many columns; a column that never
    differs says nothing.
    """
    wide = np.concatenate([ROWS, np.full((len(ROWS), 1), 3.0)], axis=1)
    (plain,) = decompositions(ROWS, [3, 3], (1.0,))
    (twice,) = decompositions(np.concatenate([ROWS[:, :3], ROWS], axis=1), [6, 3], (1.0,))
    assert np.allclose(
        plain.solved(VALUES, 0.1).predict(ROWS),
        twice.solved(VALUES, 0.1).predict(np.concatenate([ROWS[:, :3], ROWS], axis=1)),
        atol=1e-3,
    )
    (known,) = decompositions(wide, [7], (1.0,))
    changed = wide.copy()
    changed[:, 6] = 100.0
    fitted = known.solved(VALUES, 0.1)
    assert np.allclose(fitted.predict(changed), fitted.predict(wide))


def test_a_strange_number_does_not_go_far():
    (basis,) = decompositions(ROWS, [6], (0.3,))
    fitted = basis.solved(VALUES, 0.1)
    strange, far = ROWS[:1].copy(), ROWS[:1].copy()
    strange[0, 0], far[0, 0] = 1e3, 1e9
    assert np.allclose(fitted.predict(strange), fitted.predict(far))


def test_bent_scales_bring_values_back_and_hold_the_range():
    values = np.array([0.0, 0.0, 1.0, 2.0, 3.0, 400.0])
    for bent in (False, True):
        scale = Squash.of(values, bent)
        assert np.allclose(scale.inverse(scale.forward(values)), values)
        assert scale.inverse(np.array([1e9]))[0] == pytest.approx(440.0)
        assert Squash(**scale.as_dict()) == scale
    assert Squash.of(values, True).forward(values).max() < 10


def test_weights_are_those_of_the_least_error():
    known = np.array([1.0, 2.0, 3.0, 4.0])
    assert best_weights({"high": known + 0.4, "low": known - 0.1}, known) == {
        "high": 0.2,
        "low": 0.8,
    }
    weights = best_weights({"high": known + 0.3, "low": known - 0.3}, known)
    assert weights == {"high": 0.5, "low": 0.5}
    assert best_weights({"right": known, "wrong": known + 1}, known) == {"right": 1.0}


def test_stored_boosted_trees_answer_as_scikit_learn():
    ensemble = pytest.importorskip("sklearn.ensemble")
    settings = BoostingSettings(trees=30, depth=4)
    theirs = ensemble.GradientBoostingRegressor(
        n_estimators=30,
        max_depth=4,
        learning_rate=settings.rate,
        subsample=settings.rows,
        max_features=settings.share,
        min_samples_leaf=settings.leaf,
        random_state=3,
    ).fit(ROWS.astype(np.float32), VALUES)
    forest = Forest.of_tensors(boosted(ROWS, VALUES, settings, 3).tensors())
    asked = np.concatenate([ROWS, ROWS[::-1] * 1.3])
    assert np.allclose(forest.predict(asked), theirs.predict(asked.astype(np.float32)), atol=1e-5)
    assert np.abs(forest.predict(ROWS) - VALUES).mean() < 0.5 * VALUES.std()
