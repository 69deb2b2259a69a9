import itertools

import numpy as np
import pytest
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.schedules.noise import Cosine, CosineSurvival, Geometric
from ase_crysdiff.schedules.plans import UniformPlan


def at(*k):
    return torch.tensor(k, dtype=torch.float64) / 1000


def test_cosine_schedule_golden():
    signal = Cosine().signal_power
    golden = {
        1: 0.9999,
        2: 0.9998,
        10: 0.999,
        100: 0.971719,
        250: 0.846687,
        500: 0.493654,
        750: 0.144217,
        900: 0.0240825,
        999: 2.42783e-6,
        1000: 2.42783e-10,
    }
    for k, value in golden.items():
        assert float(signal[k]) == pytest.approx(value, rel=4e-6)
    assert float(signal[0]) == 1
    beta = 1 - signal[1:] / signal[:-1]
    for k, value in {
        1: 1e-4,
        100: 5.26905e-4,
        500: 0.00314589,
        900: 0.0195442,
        999: 0.749999,
        1000: 0.9999,
    }.items():
        assert float(beta[k - 1]) == pytest.approx(value, rel=5e-6)
    deviation = (beta[1:] * (1 - signal[1:-1]) / (1 - signal[2:])).sqrt()
    for k, value in {2: 0.00707124, 10: 0.00948707, 500: 0.0560019, 1000: 0.999949}.items():
        assert float(deviation[k - 2]) == pytest.approx(value, rel=5e-6)
    assert int(((beta - 1e-4).abs() < 1e-12).sum()) == 13


def test_cosine_noise_near_data_is_exact_in_single_precision():
    _, noise = Cosine().scales(torch.tensor([0.001]))
    assert float(noise) == pytest.approx(0.01, rel=1e-6)


def test_geometric_levels_and_score_scales_golden():
    schedule = Geometric()
    golden = {
        1: (0.005, 40000),
        100: (0.007892, 16057.0),
        250: (0.015757, 4027.75),
        500: (0.049885, 401.848),
        700: (0.125421, 63.3613),
        750: (0.157932, 38.1784),
        800: (0.198870, 19.4637),
        900: (0.315333, 1.58808),
        950: (0.397073, 0.156679),
        1000: (0.5, 0.00408409),
    }
    for k, (sigma, norm) in golden.items():
        assert float(schedule.sigma(at(k))) == pytest.approx(sigma, abs=6e-7)
        assert float(schedule.score_scale(at(k))) ** 2 == pytest.approx(norm, rel=1e-5)
    assert float(schedule.sigma(at(0))) == 0


def test_survival_golden():
    schedule = CosineSurvival()
    golden = {
        1: 0.999979,
        2: 0.999956,
        10: 0.999685,
        100: 0.985974,
        250: 0.920485,
        500: 0.703294,
        750: 0.380912,
        900: 0.156599,
        999: 0.00311378,
        1000: 0.00155689,
    }
    for k, value in golden.items():
        assert float(schedule.survival(at(k))) == pytest.approx(value, rel=4e-6)


@pytest.mark.parametrize("steps", [1, 7, 100, 1000])
def test_plan_descends_on_the_grid(steps):
    plan = list(UniformPlan(steps))
    assert len(plan) == steps == len(UniformPlan(steps))
    times = [plan[0][0], *[s for _, s in plan]]
    assert times[-1] == 0
    assert times[0] == (1 if steps == 1000 else 0.99)
    np.testing.assert_allclose(np.array(times) * 1000, np.round(np.array(times) * 1000))
    assert all(a > b for a, b in itertools.pairwise(times))
    assert all(a[1] == b[0] for a, b in itertools.pairwise(plan))


@pytest.mark.parametrize("steps", [0, -3, 1001, True])
def test_plan_refuses_impossible_steps(steps):
    with pytest.raises(InputError, match="from 1 to 1000"):
        UniformPlan(steps)
