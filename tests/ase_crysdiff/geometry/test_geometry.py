import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from ase_crysdiff.geometry import distances, distributions, lattice, torus


def test_from_parameters_matches_published_orientation():
    rows = lattice.from_parameters(
        torch.tensor([[4.0, 5, 6]]).double(), torch.tensor([[80.0, 95, 110]]).double()
    )[0]
    golden = [[3.984779, 0, -0.348623], [-1.640672, 4.642667, 0.868241], [0, 0, 6]]
    np.testing.assert_allclose(rows, golden, atol=1e-6)
    np.testing.assert_allclose(
        rows, Lattice.from_parameters(4, 5, 6, 80, 95, 110).matrix, atol=1e-12
    )
    assert torch.linalg.det(rows) == pytest.approx(110.99999, abs=1e-4)
    gram = lattice.gram(rows[None])[0]
    np.testing.assert_allclose(gram[0], [16, -6.840403, -2.091738], atol=1e-6)
    assert gram[1, 2] == pytest.approx(5.209445, abs=1e-6)


@pytest.mark.parametrize(
    ("parameters", "k"),
    [
        ((4, 4, 4, 90, 90, 90), (0, 0, 0, 0, 0, 1.386294)),
        ((3, 3, 5, 90, 90, 120), (-0.274653, 0, 0, 0, -0.194249, 1.220940)),
        ((3, 3, 5, 90, 90, 90), (0, 0, 0, 0, -0.170275, 1.268887)),
        ((3, 4, 5, 90, 90, 90), (0, 0, 0, -0.143841, -0.122328, 1.364782)),
        ((4, 5, 6, 80, 95, 110), (-0.174218, -0.028788, 0.083893, -0.112745, -0.107348, 1.569843)),
    ],
)
def test_log_polar_matches_published_values(parameters, k):
    rows = lattice.from_parameters(
        *torch.tensor(parameters, dtype=torch.float64).view(1, 2, 3).unbind(1)
    )
    np.testing.assert_allclose(lattice.log_polar(rows)[0], k, atol=2e-6)


cells = st.tuples(*[st.floats(2, 15)] * 3, *[st.floats(50, 115)] * 3)


@settings(max_examples=60, deadline=None)
@given(cells)
def test_parameters_and_polar_maps_invert(cell):
    lengths, angles = torch.tensor(cell, dtype=torch.float64).view(1, 2, 3).unbind(1)
    rows = lattice.from_parameters(lengths, angles)
    if not lattice.volume(rows) > 1:
        return
    again = lattice.to_parameters(rows)
    np.testing.assert_allclose(again[0], lengths, rtol=1e-9)
    np.testing.assert_allclose(again[1], angles, rtol=1e-6)
    polar = lattice.from_log_polar(lattice.log_polar(rows))
    np.testing.assert_allclose(lattice.gram(polar), lattice.gram(rows), rtol=1e-8, atol=1e-8)
    assert lattice.volume(polar) == pytest.approx(float(lattice.volume(rows)), rel=1e-9)


def test_a_lattice_does_not_depend_on_the_others_of_a_batch(generator):
    k = 0.3 * torch.randn(500, 6, generator=generator)
    alone = torch.cat([lattice.from_log_polar(k[i : i + 1]) for i in range(len(k))])
    assert torch.equal(alone, lattice.from_log_polar(k))
    assert torch.equal(lattice.from_log_polar(k[:3]), lattice.from_log_polar(k)[:3])
    assert lattice.from_log_polar(k[:0]).shape == (0, 3, 3)


def test_log_polar_ignores_rotations_and_reflections(generator):
    rows = (
        4 * torch.eye(3).double()
        + torch.randn(5, 3, 3, generator=generator, dtype=torch.float64) * 0.5
    )
    q = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    np.testing.assert_allclose(lattice.log_polar(rows), lattice.log_polar(rows @ q), atol=1e-10)
    np.testing.assert_allclose(lattice.log_polar(rows), lattice.log_polar(rows @ -q), atol=1e-10)


def test_shortest_distance_agrees_with_pymatgen(generator):
    cell = Lattice.from_parameters(3.1, 4.0, 5.2, 75, 100, 95).get_niggli_reduced_lattice()
    frac = torch.rand(7, 3, generator=generator, dtype=torch.float64)
    ours = distances.shortest_distance(frac, torch.tensor(cell.matrix))
    theirs = Structure(cell, ["H"] * 7, frac.numpy()).distance_matrix
    off = ~np.eye(7, dtype=bool)
    np.testing.assert_allclose(ours.numpy()[off], theirs[off], atol=1e-10)
    np.testing.assert_allclose(ours.diagonal(), min(cell.abc), atol=1e-10)


def test_wrap_stays_below_one():
    x = torch.tensor([-1e-9, 1.0, 2.25, -0.25, 0.0])
    wrapped = torus.wrap(x)
    assert (wrapped < 1).all()
    assert (wrapped >= 0).all()
    np.testing.assert_allclose(wrapped, [0, 0, 0.25, 0.75, 0])
    assert torch.equal(torus.wrap(wrapped), wrapped)


@pytest.mark.parametrize(
    ("x", "sigma", "score"),
    [
        (0.1, 0.005, 4000),
        (0.1, 0.05, 40),
        (0.25, 0.2, 6.20183181),
        (0.4, 0.2, 8.1035455),
        (0.25, 0.5, 0.090375872),
        (0.5, 0.3, 0),
    ],
)
def test_wrapped_normal_score_golden(x, sigma, score):
    value = distributions.wrapped_normal_score(
        torch.tensor([x]).double(), torch.tensor([sigma]).double()
    )
    assert float(value) == pytest.approx(score, rel=1e-7, abs=1e-9)


def test_wrapped_normal_slope_survives_single_precision():
    # The published code gives 0/0 here.
    value = distributions.wrapped_normal_score(torch.tensor([0.3, 0.49]), torch.tensor([0.005]))
    np.testing.assert_allclose(value, [12000, 19600], rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(-2, 2), st.floats(0.02, 1.0))
def test_wrapped_normal_slope_is_the_derivative(x, sigma):
    point = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    level = torch.tensor([sigma], dtype=torch.float64)
    distributions.wrapped_normal_log_density(point, level).sum().backward()
    score = distributions.wrapped_normal_score(point.detach(), level)
    assert float(score) == pytest.approx(-float(point.grad), rel=1e-6, abs=1e-6)
    assert float(distributions.wrapped_normal_score(-point.detach(), level)) == pytest.approx(
        -float(score), abs=1e-6
    )


@pytest.mark.parametrize("sigma", [0.1, 0.25, 0.5])
def test_wrapped_normal_density_equals_its_fourier_series(sigma):
    x = torch.linspace(0, 1, 21, dtype=torch.float64)
    k = torch.arange(1, 40, dtype=torch.float64)
    series = 1 + 2 * (
        torch.exp(-2 * math.pi**2 * sigma**2 * k**2) * torch.cos(2 * math.pi * k * x[:, None])
    ).sum(1)
    density = distributions.wrapped_normal_log_density(x, torch.full_like(x, sigma)).exp()
    np.testing.assert_allclose(density, series, rtol=1e-10)
