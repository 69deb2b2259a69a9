"""Quaternions, rotation vectors and matrices against scipy and closed forms."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from ase_crysdiff.geometry import rotations


def random_rotations(count, generator):
    return rotations.canonical(torch.randn(count, 4, generator=generator, dtype=torch.float64))


def scipy_of(q):
    return Rotation.from_quat(q[:, [1, 2, 3, 0]].numpy())


def test_matrices_are_those_of_scipy(generator):
    q = random_rotations(200, generator)
    wanted = torch.from_numpy(scipy_of(q).as_matrix())
    assert torch.allclose(rotations.to_matrix(q), wanted, atol=1e-14)
    assert torch.allclose(rotations.from_matrix(wanted), q, atol=1e-14)


def test_products_are_those_of_matrices(generator):
    p, q = random_rotations(50, generator), random_rotations(50, generator)
    product = rotations.to_matrix(p) @ rotations.to_matrix(q)
    assert torch.allclose(rotations.to_matrix(rotations.multiply(p, q)), product, atol=1e-14)
    nothing = rotations.canonical(rotations.multiply(q, rotations.inverse(q)))
    assert torch.allclose(nothing, torch.tensor([1.0, 0, 0, 0], dtype=torch.float64), atol=1e-14)


def test_rotation_vectors_are_those_of_scipy(generator):
    q = random_rotations(200, generator)
    vectors = torch.from_numpy(scipy_of(q).as_rotvec())
    assert torch.allclose(rotations.log(q), vectors, atol=1e-12)
    assert torch.allclose(rotations.exp(vectors), q, atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-5, 2e-4, 1.0, math.pi - 1e-6])
def test_exp_and_log_invert_each_other_from_nothing_to_half_a_turn(size):
    axis = torch.tensor([[1.0, 2.0, -2.0]], dtype=torch.float64) / 3
    vector = size * axis
    assert torch.allclose(rotations.log(rotations.exp(vector)), vector, atol=1e-9 * (1 + size))
    assert float(rotations.angle(rotations.exp(vector))) == pytest.approx(size, abs=1e-9)


def test_a_quarter_turn_about_z():
    half = math.sqrt(0.5)
    turn = rotations.exp(torch.tensor([[0.0, 0.0, math.pi / 2]], dtype=torch.float64))
    assert torch.allclose(turn, torch.tensor([[half, 0, 0, half]], dtype=torch.float64))
    x = rotations.to_matrix(turn) @ torch.tensor([1.0, 0, 0], dtype=torch.float64)
    assert torch.allclose(x, torch.tensor([[0.0, 1, 0]], dtype=torch.float64), atol=1e-15)


def test_gradients_are_finite_at_no_rotation():
    vector = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    rotations.to_matrix(rotations.exp(vector)).sum().backward()
    assert bool(torch.isfinite(vector.grad).all())


def test_half_turns_have_matrices_and_come_back():
    turns = torch.diag_embed(
        torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    )
    found = rotations.from_matrix(turns)
    assert torch.allclose(rotations.to_matrix(found), turns, atol=1e-15)
    assert torch.allclose(rotations.angle(found), torch.full((3,), math.pi, dtype=torch.float64))


def test_two_vectors_give_a_frame_that_turns_with_them(generator):
    first, second = torch.randn(2, 20, 3, generator=generator, dtype=torch.float64)
    frames = rotations.from_two_vectors(first, second)
    assert torch.allclose(frames.mT @ frames, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(torch.linalg.det(frames), torch.ones(20, dtype=torch.float64))
    turn = rotations.to_matrix(random_rotations(1, generator))[0]
    turned = rotations.from_two_vectors(first @ turn.T, second @ turn.T)
    assert torch.allclose(turned, turn @ frames, atol=1e-12)
