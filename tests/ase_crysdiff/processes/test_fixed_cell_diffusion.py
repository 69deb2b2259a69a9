"""Diffusion in a given cell against closed forms: slopes, moments, forward kernels, the corrector."""

import math

import numpy as np
import pytest
import torch

from ase_crysdiff.geometry import periodic_normal
from ase_crysdiff.geometry.distributions import wrapped_normal_slope
from ase_crysdiff.geometry.periodic_normal import periodic_normal_slope
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.processes.fixed_cell_diffusion import FixedCellDiffusion
from ase_crysdiff.randomness import GeneratorDraws
from ase_crysdiff.schedules.plans import UniformPlan

SKEWED = torch.tensor([[4.0, 0, 0], [1.5, 5.0, 0], [-1.0, 1.2, 6.0]], dtype=torch.float64)


def process(rows, cell=SKEWED):
    return FixedCellDiffusion(cell.expand(rows, 3, 3))


def times(value, rows):
    return torch.full((rows,), value, dtype=torch.float64)


def slope(frac, sigma, cell=SKEWED):
    return periodic_normal_slope(frac, cell.expand(len(frac), 3, 3), torch.full((len(frac),), sigma, dtype=torch.float64))


@pytest.mark.parametrize("sigma", [0.01, 0.5, 1.7, 2.5, 6.0])
def test_slope_is_minus_the_gradient_of_the_log_density(sigma, generator):
    frac = torch.rand(5, 3, generator=generator, dtype=torch.float64)
    place = (frac @ SKEWED).requires_grad_()
    cells = torch.cartesian_prod(*[torch.arange(-14.0, 15.0).double()] * 3) @ SKEWED
    log_density = torch.logsumexp(-((place.unsqueeze(1) + cells) ** 2).sum(-1) / (2 * sigma**2), -1)
    (expected,) = torch.autograd.grad(-log_density.sum(), place)
    np.testing.assert_allclose(slope(frac, sigma), expected, rtol=1e-6, atol=1e-8)


def test_both_sums_agree_and_cubic_cells_factorise(generator):
    frac = torch.rand(20, 3, generator=generator, dtype=torch.float64)
    cells, sigma = SKEWED.expand(20, 3, 3), torch.full((20,), 1.8, dtype=torch.float64)
    np.testing.assert_allclose(
        periodic_normal._over_images(frac, cells, sigma), periodic_normal._over_waves(frac, cells, sigma), atol=1e-8
    )
    cube = 4 * torch.eye(3, dtype=torch.float64)
    for width in (0.3, 3.0):
        axes = wrapped_normal_slope(frac, torch.full_like(frac, width / 4)) / 4
        np.testing.assert_allclose(slope(frac, width, cube), axes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("t", [0.05, 0.5, 0.8])
def test_clean_and_from_clean_invert(t, generator):
    draws = GeneratorDraws(50, generator, torch.float64)
    law = process(50)
    value = law.prior(draws)
    clean = value + 0.1 * draws.normal(3)
    again = law.clean(value, law.from_clean(value, clean, times(t, 50)), times(t, 50))
    np.testing.assert_allclose(shortest_image(again - clean), 0, atol=1e-9)


@pytest.mark.parametrize("steps", [20, 200])
def test_oracle_leads_back_to_the_truth(steps, generator):
    draws, law = GeneratorDraws(30, generator, torch.float64), process(30)
    truth, value = law.prior(draws), law.prior(draws)
    for t, s in UniformPlan(steps):
        value = law.reverse(value, law.from_clean(value, truth, times(t, 30)), times(t, 30), times(s, 30), draws)
    np.testing.assert_allclose(shortest_image(value - truth), 0, atol=1e-6)


@pytest.mark.parametrize("correct", [0.0, 1.0])
def test_reverse_reproduces_an_isotropic_normal(correct, generator):
    """Data of deviation 0.2 Å around a point: the exact score of every noisy marginal is known."""
    rows, deviation = 2000, 0.2
    draws, law = GeneratorDraws(rows, generator, torch.float64), process(rows)
    centre = torch.tensor([0.02, 0.5, 0.9], dtype=torch.float64)

    def predict(value, t):
        sigma = law.schedule.sigma(times(t, rows))
        return sigma.unsqueeze(-1) * periodic_normal_slope(value - centre, law.cells, (sigma**2 + deviation**2).sqrt())

    value = law.prior(draws)
    for t, s in UniformPlan(200):
        if correct:
            value = law.correct(value, predict(value, t), times(t, rows), correct, draws)
        value = law.reverse(value, predict(value, t), times(t, rows), times(s, rows), draws)
    away = shortest_image(value - centre) @ SKEWED
    error = deviation / math.sqrt(rows)
    np.testing.assert_allclose(away.mean(0), 0, atol=4.5 * error)
    # Steps of a length that depends on the state are not exact Langevin dynamics: the corrector narrows a little.
    np.testing.assert_allclose(away.std(0), deviation, rtol=0.15 if correct else 0.06)
    covariance = torch.cov(away.T) / deviation**2
    np.testing.assert_allclose(covariance - torch.diag(torch.diag(covariance)), 0, atol=0.12)


def test_renoise_equals_corrupt_in_law_and_jumps_are_square_roots(generator):
    rows = 20_000
    draws, law = GeneratorDraws(rows, generator, torch.float64), process(rows)
    clean = torch.full((rows, 3), 0.3, dtype=torch.float64)
    s, t = times(0.6, rows), times(0.7, rows)
    twice = law.renoise(law.corrupt(clean, s, draws)[0], s, t, draws)
    sigma = float(law.schedule.sigma(t)[0])
    away = shortest_image(twice - clean) @ SKEWED
    assert sigma < 0.7  # hardly wrapped
    np.testing.assert_allclose(away.std(0), sigma, rtol=0.03)


def test_targets_average_to_the_score_and_the_prior_is_uniform(generator):
    rows = 50_000
    draws, law = GeneratorDraws(rows, generator, torch.float64), process(rows)
    clean = torch.zeros(rows, 3, dtype=torch.float64)
    late, target = law.corrupt(clean, times(1.0, rows), draws)
    np.testing.assert_allclose(torch.cos(2 * math.pi * late).mean(0), 0, atol=4 / math.sqrt(rows))
    np.testing.assert_allclose(target, 0, atol=1e-6)  # at 10 Å nothing is left to know
    _, target = law.corrupt(clean, times(0.3, rows), draws)
    assert float((target**2).mean()) == pytest.approx(1, abs=0.02)


def test_corrector_survives_a_vanishing_score(generator):
    draws, law = GeneratorDraws(10, generator, torch.float64), process(10)
    value = law.prior(draws)
    moved = law.correct(value, torch.zeros(10, 3, dtype=torch.float64), times(0.3, 10), 1.0, draws)
    assert torch.isfinite(moved).all()
    assert float((shortest_image(moved - value) @ SKEWED).abs().max()) < 6 * float(law.schedule.sigma(times(0.3, 1))[0])
