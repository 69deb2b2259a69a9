"""The flow on SO(3) against closed forms; the contract of processes is tested with all others."""

import itertools
import math

import pytest
import torch

from ase_crysdiff.geometry import rotations
from ase_crysdiff.processes.rotation_flow import RotationFlow
from ase_crysdiff.randomness import GeneratorStream

FLOW = RotationFlow()


def drawn(rows, generator):
    return FLOW.prior(GeneratorStream(rows, generator, torch.float64))


def times(value, rows):
    return torch.full((rows,), value, dtype=torch.float64)


def test_the_prior_is_uniform(generator):
    """Angles of uniform rotations have the density (1 - cos θ)/π, whose mean is π/2 + 2/π; the mean
    of the matrices is 0, that of the squares of their entries 1/3.
    """
    rows = 40_000
    q = drawn(rows, generator)
    angles = rotations.angle(q)
    deviation = math.sqrt(math.pi**2 / 12 - 4 / math.pi**2 + 0.0)
    assert float(angles.mean()) == pytest.approx(
        math.pi / 2 + 2 / math.pi, abs=5 * deviation / math.sqrt(rows)
    )
    below = float((angles < 1.0).double().mean())
    assert below == pytest.approx((1 - math.sin(1.0)) / math.pi, abs=0.005)
    matrices = rotations.to_matrix(q)
    assert float(matrices.mean(0).abs().max()) < 0.015
    assert torch.allclose(matrices.square().mean(0), torch.full((3, 3), 1 / 3).double(), atol=0.01)


def test_half_way_between_two_rotations_about_one_axis():
    axis = torch.tensor([[0.0, 0.6, 0.8]], dtype=torch.float64)
    clean, noise = rotations.exp(0.3 * axis), rotations.exp(1.7 * axis)
    state, velocity = FLOW.between(clean, noise, times(0.5, 1))
    assert torch.allclose(state, rotations.exp(1.0 * axis))
    assert torch.allclose(velocity, 1.4 * axis)


def test_the_shorter_way_is_taken():
    axis = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    start, end = rotations.exp(-3.0 * axis), rotations.exp(3.0 * axis)
    assert torch.allclose(FLOW.displacement(start, end), (6.0 - 2 * math.pi) * axis)


def test_ways_are_straight(generator):
    """The angle from the data grows like the time, at the velocity of the way, which is the same
    wherever one is on it.
    """
    clean, noise = drawn(100, generator), drawn(100, generator)
    whole = FLOW.displacement(clean, noise)
    for t in (0.1, 0.5, 0.9):
        state, velocity = FLOW.between(clean, noise, times(t, 100))
        assert torch.allclose(velocity, whole)
        gone = FLOW.displacement(clean, state)
        assert torch.allclose(gone, t * whole, atol=1e-10)
        assert torch.allclose(FLOW.displacement(state, noise), (1 - t) * whole, atol=1e-10)


def test_velocities_do_not_change_when_everything_is_turned(generator):
    clean, noise, turn = (drawn(50, generator) for _ in range(3))
    turned = FLOW.displacement(rotations.multiply(turn, clean), rotations.multiply(turn, noise))
    assert torch.allclose(turned, FLOW.displacement(clean, noise), atol=1e-10)


def test_many_steps_of_the_true_velocity_end_at_the_data(generator):
    clean, state = drawn(50, generator), drawn(50, generator)
    for t, s in itertools.pairwise(torch.linspace(1, 0, 8).tolist()):
        prediction = FLOW.from_clean(state, clean, times(t, 50))
        state = FLOW.ode_step(state, prediction, times(t, 50), times(s, 50))
    assert torch.allclose(state, clean, atol=1e-9)


def test_blends_lie_on_the_geodesic():
    axis = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    first, second = rotations.exp(0.2 * axis), rotations.exp(0.6 * axis)
    assert torch.allclose(FLOW.blend(first, second, 0.25), rotations.exp(0.3 * axis))
