"""The exponential energy loss and its stable form: same minimiser, golden values, no numbers out of
range.
"""

import math

import pytest
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.training.energy_losses import clamped_share, energy_loss, exp_mse, linex

LEVELS = torch.tensor([0.0, 1.0, 3.0, 5.0], dtype=torch.float64)
ODDS = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)


def minimiser(name, b=1.0):
    """Of the expected loss over predictions, on a fine grid."""
    grid = torch.linspace(-1, 4, 500_001, dtype=torch.float64)
    total = sum(
        p * energy_loss(name, b * grid, (b * level).expand(len(grid)))
        for p, level in zip(ODDS, LEVELS, strict=True)
    )
    return float(grid[total.argmin()])


@pytest.mark.parametrize("name", ["linex", "exp-mse"])
def test_the_minimiser_is_the_intermediate_energy(name):
    assert minimiser(name) == pytest.approx(0.652015, abs=2e-5)
    assert minimiser(name) == pytest.approx(
        -math.log(float((ODDS * torch.exp(-LEVELS)).sum())), abs=2e-5
    )


@pytest.mark.parametrize(
    ("b", "expected"), [(0.01, 1.386873), (0.5, 0.908910), (1.0, 0.652015), (2.0, 0.409241)]
)
def test_the_minimiser_at_other_temperatures(b, expected):
    """From the mean (1.4) at b = 0 down towards the lowest level."""
    assert minimiser("linex", b) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("prediction", "label", "expected"),
    [
        (0.0, 0.0, 0.0),
        (1.0, 0.0, 0.71828183),
        (-1.0, 0.0, 0.36787944),
        (0.5, 1.5, 0.36787944),
        (6.0, 0.0, 289.82631821),
    ],
)
def test_linex_golden_values(prediction, label, expected):
    difference = torch.tensor([prediction - label], dtype=torch.float64)
    assert float(linex(difference)) == pytest.approx(expected, abs=1e-8)


def test_linex_continues_smoothly():
    """Value and slope are continuous where the straight line begins; the slope is expm1 below."""
    x = torch.tensor(
        [4.999999, 5.0, 5.000001, 40.0, -50.0, 0.3], dtype=torch.float64, requires_grad=True
    )
    value = linex(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert float(value[2].detach() - value[0].detach()) == pytest.approx(
        2e-6 * math.expm1(5.0), rel=1e-4
    )
    torch.testing.assert_close(slope, torch.expm1(x.detach().clamp_max(5.0)))


def test_gradients_are_finite_in_single_precision():
    x = torch.linspace(-50, 50, 1001, requires_grad=True)
    (slope,) = torch.autograd.grad(linex(x).sum(), x)
    assert torch.isfinite(slope).all()


def test_a_shift_of_all_energies_leaves_linex_alone_and_scales_the_published_loss():
    prediction, label = torch.tensor([0.3, -0.5]).double(), torch.tensor([0.1, 0.7]).double()
    torch.testing.assert_close(
        energy_loss("linex", prediction + 2.0, label + 2.0),
        energy_loss("linex", prediction, label),
        rtol=1e-12,
        atol=0,
    )
    torch.testing.assert_close(
        exp_mse(prediction + 2.0, label + 2.0), math.exp(-4.0) * exp_mse(prediction, label)
    )


def test_the_clamped_share_counts_the_straight_part():
    assert float(clamped_share(torch.tensor([0.0, 4.9, 5.1, 70.0]))) == 0.5


def test_other_losses_are_refused():
    with pytest.raises(InputError, match="linex"):
        energy_loss("l2", LEVELS, LEVELS)
