"""Distances and directions of nearest images: what they are, and what must not change them."""

import itertools
import math

import numpy as np
import pytest
import torch

from ase_crysdiff.geometry.distances import nearest_vectors
from ase_crysdiff.geometry.lattice import from_parameters
from ase_crysdiff.networks.encoders.near_pairs import CUTOFF, near_features
from ase_crysdiff.testing.crystals import random_batch
from ase_crysdiff.testing.cspnet_reference import near_image

CUBE = 4 * torch.eye(3, dtype=torch.float64)[None]
#: A primitive cell of rock salt, whose two atoms have six equally near images of each other.
ROCK_SALT = torch.tensor([[[0.0, 2.8, 2.8], [2.8, 0.0, 2.8], [2.8, 2.8, 0.0]]]).double()


def features(difference, lattice=CUBE, count=8):
    return near_features(torch.as_tensor(difference).double().view(1, -1, 3), lattice, count)


def test_equal_to_the_sum_over_images_written_out(generator):
    lattice = random_batch([3] * 4, generator).lattice.double()
    difference = 3 * torch.rand(4, 5, 3, generator=generator, dtype=torch.float64) - 1.5
    found = torch.cat(near_features(difference, lattice, 16), -1)
    for crystal, pair in itertools.product(range(4), range(5)):
        expected = near_image(difference[crystal, pair], lattice[crystal], 16)
        np.testing.assert_allclose(found[crystal, pair], expected, rtol=1e-9, atol=1e-12)


def test_one_pair_by_hand():
    directions, radial = features([0.5 - 0.01, 0.0, 0.0])  # 1.96 Å along a, the next image 2.04 Å
    x = 1.96 / CUTOFF
    fading = 1 - 21 * x**5 + 35 * x**6 - 15 * x**7
    share = 1 / (1 + math.exp(1.96**2 - 2.04**2))
    np.testing.assert_allclose(radial[0, 0, 1], math.sin(2 * math.pi * x) / (2 * x) * fading)
    mean = 0.49 * share - 0.51 * (1 - share)
    np.testing.assert_allclose(directions[0, 0], [5 * mean / 1.96 * fading, 0, 0], atol=1e-6)


def test_a_lone_near_image_is_a_unit_vector_in_the_basis_of_the_lattice(generator):
    lattice = 1.5 * random_batch([2], generator).lattice.double()
    difference = torch.tensor([[0.1, -0.15, 0.05]], dtype=torch.float64)
    directions, _ = features(difference, lattice)
    near = nearest_vectors(difference, lattice[0])
    along = torch.nn.functional.normalize(directions[0] @ lattice[0], dim=-1)
    np.testing.assert_allclose(along, torch.nn.functional.normalize(near, dim=-1), atol=1e-6)


def test_exchange_and_images_and_orientation(generator):
    lattice = random_batch([5], generator).lattice.double()
    difference = torch.rand(6, 3, generator=generator, dtype=torch.float64) - 0.5
    directions, radial = features(difference, lattice)
    for other, sign in ((-difference, -1), (difference + torch.tensor([2.0, -1.0, 3.0]), 1)):
        there, same = features(other, lattice)
        np.testing.assert_allclose(there, sign * directions, atol=1e-9)
        np.testing.assert_allclose(same, radial, atol=1e-9)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    for one, other in zip(features(difference, lattice @ turn), (directions, radial), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_equally_near_images_leave_no_direction():
    directions, radial = features([[0.5, 0.5, 0.5], [0.5 - 1e-7, 0.5, 0.5 + 1e-7]], ROCK_SALT)
    assert float(directions.abs().max()) < 1e-5
    np.testing.assert_allclose(radial[0, 0], radial[0, 1], atol=1e-5)
    x = 2.8 / CUTOFF
    fading = 1 - 21 * x**5 + 35 * x**6 - 15 * x**7
    np.testing.assert_allclose(radial[0, 0, 0], math.sin(math.pi * x) / (2 * x) * fading)


@pytest.mark.parametrize("count", [1, 16])
def test_symmetry_of_the_crystal_is_kept(count):
    """An operation of the cell turns directions as it turns coordinates."""
    hexagonal = from_parameters(
        torch.tensor([[3.0, 3.0, 5.0]]).double(), torch.tensor([[90.0, 90.0, 120.0]]).double()
    )
    threefold = torch.tensor([[0.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]).double()
    difference = torch.tensor([[0.3, 0.1, 0.2], [0.45, 0.05, -0.4]]).double()
    directions, radial = features(difference, hexagonal, count)
    turned, same = features(difference @ threefold.T, hexagonal, count)
    np.testing.assert_allclose(turned, directions @ threefold.T, atol=1e-4)
    np.testing.assert_allclose(same, radial, atol=1e-9)


def test_nothing_beyond_the_cutoff_and_finite_gradients_everywhere():
    directions, radial = features([[0.5, 0.1, 0.0], [0.45, 0.0, 0.0]], 5 * CUBE)
    assert not directions.any()
    assert not radial.any()
    places = torch.tensor([[0.0, 0.0, 0.0], [1e-9, 0, 0], [0.5, 0.5, 0.5]]).double()
    places.requires_grad_()
    sum(part.square().sum() for part in features(places)).backward()
    assert torch.isfinite(places.grad).all()
    assert not torch.cat(features(places[:1] * 0), -1)[..., :3].any()
