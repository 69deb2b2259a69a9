"""The closed forms of adaptive composition: what neighbours say, and weights on the simplex."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from ase_crysdiff.errors import InputError
from ase_crysdiff.predictors.modules.proxy import leave_one_out
from ase_crysdiff.predictors.modules.simplex import simplex_weights

FEATURES = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
VALUES = torch.tensor([1.0, 2.0, 5.0, 7.0])


def test_neighbours_say_what_the_formula_says():
    found = leave_one_out(FEATURES, VALUES, torch.arange(4), neighbors=2)
    expected = [2.05961678, 1.12237023, 6.94038322, 4.93881488]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)


def test_crystals_of_a_group_do_not_tell_each_other():
    groups = torch.tensor([0, 0, 1, 1])
    found = leave_one_out(FEATURES, VALUES, groups, neighbors=1)
    assert found.tolist() == pytest.approx([7.0, 7.0, 2.0, 2.0])


def test_a_group_that_is_all_there_is_gets_the_mean():
    found = leave_one_out(FEATURES, VALUES, torch.zeros(4, dtype=torch.long))
    assert found.tolist() == pytest.approx([3.75] * 4)


def test_opinions_do_not_depend_on_the_size_of_features():
    groups = torch.arange(4)
    once = leave_one_out(FEATURES, VALUES, groups)
    np.testing.assert_allclose(once, leave_one_out(100 * FEATURES, VALUES, groups), atol=1e-6)


def test_weights_where_errors_cancel():
    values = np.array([1.0, 2.0, 3.0])
    predictions = np.array([[1.0, 1.0], [1.0, 3.0], [1.0, 5.0]])
    np.testing.assert_allclose(simplex_weights(predictions, values), [0.5, 0.5], atol=1e-12)


def test_weights_at_a_corner():
    np.testing.assert_allclose(
        simplex_weights(np.array([[1.0, 2.0]]), np.array([0.0])), [1.0, 0.0], atol=1e-12
    )


def test_the_prediction_of_equal_models_is_theirs():
    predictions = np.ones((5, 3))
    weights = simplex_weights(predictions, np.arange(5.0))
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(4))
def test_weights_agree_with_a_general_solver(seed):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=60)
    predictions = values[:, None] + generator.normal(size=(60, 6)) * np.linspace(0.5, 2, 6)
    found = simplex_weights(predictions, values)

    def error(weights):
        return np.mean((predictions @ weights - values) ** 2)

    other = minimize(
        error,
        np.full(6, 1 / 6),
        bounds=[(0, 1)] * 6,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert error(found) <= other.fun + 1e-9
    np.testing.assert_allclose(found, other.x, atol=2e-3)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_weights_do_not_depend_on_the_unit(scale):
    generator = np.random.default_rng(1)
    values = generator.normal(size=40)
    predictions = values[:, None] + generator.normal(size=(40, 4))
    np.testing.assert_allclose(
        simplex_weights(scale * predictions, scale * values),
        simplex_weights(predictions, values),
        atol=1e-6,
    )


def test_numbers_that_are_none_are_refused():
    with pytest.raises(InputError, match="finite"):
        simplex_weights(np.array([[np.nan, 1.0]]), np.array([0.0]))
