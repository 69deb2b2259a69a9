"""Flows and deterministic transport against closed forms."""

import itertools
import math

import pytest
import torch

from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.processes.wrapped_diffusion import WrappedDiffusion
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.schedules.noise import Cosine, Geometric

ROWS = 4000
MEAN, DEVIATION = -0.5, 0.3


def times(value, rows=ROWS):
    return torch.full((rows,), value, dtype=torch.float64)


def rng(generator, rows=ROWS):
    return GeneratorStream(rows, generator, torch.float64)


def linear_velocity(value, t):
    """E[ε - x_0 | x_t] for data of the law N(MEAN, DEVIATION²)."""
    centred = value - (1 - t) * MEAN
    variance = (1 - t) ** 2 * DEVIATION**2 + t**2
    return t * centred / variance - MEAN - (1 - t) * DEVIATION**2 * centred / variance


def integrate(process, velocity, start, grid, order):
    value = start
    for t, s in itertools.pairwise(grid):
        at, to = times(t, len(value)), times(s, len(value))
        first = velocity(value, t)
        reached = process.ode_step(value, first, at, to)
        if order == 2:
            reached = process.ode_step(value, (first + velocity(reached, s)) / 2, at, to)
        value = reached
    return value


def test_linear_flow_recovers_the_moments_of_its_oracle(generator):
    process = LinearFlow(2)
    grid = torch.linspace(1, 0, 201).tolist()
    result = integrate(process, linear_velocity, process.prior(rng(generator)), grid, 1)
    error = DEVIATION / math.sqrt(2 * ROWS)
    assert float(result.mean()) == pytest.approx(MEAN, abs=4 * error)
    assert float(result.std()) == pytest.approx(DEVIATION, abs=4 * error + 0.005)


def wrapped_setup():
    process, centre = WrappedDiffusion(Geometric()), 0.3

    def velocity(value, t):
        sigma = float(process.schedule.sigma(times(t, 1)))
        return sigma * shortest_image(value - centre) / (0.05**2 + sigma**2)

    top = float(process.schedule.sigma(times(0.6, 1)))
    low = float(process.schedule.sigma(times(0.1, 1)))
    start = torch.tensor([[0.32, 0.29, 0.36]], dtype=torch.float64)
    exact = centre + (start - centre) * math.sqrt((0.05**2 + low**2) / (0.05**2 + top**2))
    return process, velocity, start, exact, 0.6, 0.1


def gaussian_setup():
    process = GaussianDiffusion(1, Cosine())

    def scales(t):
        return tuple(float(x) for x in process.schedule.scales(times(t, 1)))

    def velocity(value, t):
        signal, spread = scales(t)
        return spread * (value - signal * MEAN) / (signal**2 * DEVIATION**2 + spread**2)

    start = torch.tensor([[0.4], [-1.3]], dtype=torch.float64)
    (signal_t, spread_t), (signal_s, spread_s) = scales(0.8), scales(0.2)
    ratio = math.sqrt(
        (signal_s**2 * DEVIATION**2 + spread_s**2) / (signal_t**2 * DEVIATION**2 + spread_t**2)
    )
    return process, velocity, start, signal_s * MEAN + ratio * (start - signal_t * MEAN), 0.8, 0.2


def flow_setup():
    start = torch.tensor([[0.4], [-1.3]], dtype=torch.float64)

    def spread(t):
        return math.sqrt((1 - t) ** 2 * DEVIATION**2 + t**2)

    exact = 0.8 * MEAN + spread(0.2) / spread(0.8) * (start - 0.2 * MEAN)
    return LinearFlow(1), linear_velocity, start, exact, 0.8, 0.2


@pytest.mark.parametrize("setup", [gaussian_setup, wrapped_setup, flow_setup])
@pytest.mark.parametrize("order", [1, 2])
def test_transport_converges_at_its_order(setup, order):
    process, velocity, start, exact, top, low = setup()
    errors = []
    for steps in (25, 50, 100):
        # Steps are multiples of a thousandth, as the tables of the schedules want.
        grid = torch.linspace(top, low, steps + 1).double().mul(1000).round().div(1000).tolist()
        errors.append(float((integrate(process, velocity, start, grid, order) - exact).abs().max()))
    rates = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert rates[-1] == pytest.approx(order, abs=0.3), errors


@pytest.mark.parametrize("target", ["noise", "velocity"])
def test_one_step_is_exact_for_a_single_datum(target, generator):
    clean = torch.tensor([[0.2, -1.0, 0.7]], dtype=torch.float64)
    for process in (
        GaussianDiffusion(3, Cosine(), target),
        LinearFlow(3),
        TorusFlow(),
        WrappedDiffusion(Geometric()),
    ):
        datum = (
            clean
            if process.width == 3 and not isinstance(process, (TorusFlow, WrappedDiffusion))
            else wrap(clean)
        )
        t = 0.4  # wrapped noise of 0.03: no other image counts
        value, _ = process.corrupt(datum, times(t, 1), rng(generator, 1))
        prediction = process.from_clean(value, datum, times(t, 1))
        reached = process.ode_step(
            value, process.velocity(value, prediction, times(t, 1)), times(t, 1), times(0.0, 1)
        )
        torch.testing.assert_close(
            shortest_image(reached - datum) if process.width == 3 else reached,
            torch.zeros_like(datum),
        )
        torch.testing.assert_close(
            process.clean(value, prediction, times(t, 1)), reached, atol=1e-9, rtol=0
        )


def test_torus_flow_recovers_the_weights_of_two_points(generator):
    process, rows = TorusFlow(), 3000
    points, weights = torch.tensor([0.2, 0.65]).double(), torch.tensor([0.7, 0.3]).double()

    def velocity(value, t):
        """Given a datum, x_t is uniform within t/2 of it; the velocity is their distance over t."""
        distance = shortest_image(value[..., None] - points)
        likely = weights * (distance.abs() <= t / 2 + 1e-12)
        return (likely * distance).sum(-1) / likely.sum(-1).clamp_min(1e-12) / t

    result = integrate(
        process,
        velocity,
        process.prior(rng(generator, rows)),
        torch.linspace(1, 0, 401).tolist(),
        1,
    )
    distances = shortest_image(result[..., None] - points).abs()
    assert float(distances.min(-1).values.quantile(0.95)) < 0.01
    assert float((distances.argmin(-1) == 0).double().mean()) == pytest.approx(0.7, abs=0.03)


def test_linear_renoise_keeps_the_marginals(generator):
    process = LinearFlow(3)
    clean = torch.full((ROWS, 3), 2.0, dtype=torch.float64)
    early, _ = process.corrupt(clean, times(0.3), rng(generator))
    late = process.renoise(early, times(0.3), times(0.8), rng(generator))
    assert float(late.mean()) == pytest.approx(0.2 * 2.0, abs=0.03)
    assert float(late.std()) == pytest.approx(0.8, abs=0.03)


def test_torus_renoise_from_data_is_the_forward_path(generator):
    process = TorusFlow()
    clean = torch.full((ROWS, 3), 0.9, dtype=torch.float64)
    noisy = process.renoise(clean, times(0.0), times(0.5), rng(generator))
    distance = shortest_image(noisy - clean).abs()
    assert float(distance.max()) <= 0.25 + 1e-9
    assert float(distance.mean()) == pytest.approx(0.125, abs=0.01)


def test_velocity_points_from_data_to_noise(generator):
    """The target times t leads back to the datum, across the boundary too, and never takes the long
    way round.
    """
    process = TorusFlow()
    clean = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    value, velocity = process.corrupt(clean, times(0.7, 50), rng(generator, 50))
    assert float(velocity.abs().max()) <= 0.5
    back = shortest_image(value - 0.7 * velocity - clean)
    torch.testing.assert_close(back, torch.zeros_like(back), atol=1e-12, rtol=0)
