"""Rotations that put bodies onto each other."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ase_crysdiff.frameworks.superposing import principal_axes, superpositions

TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.9
SQUARE = np.array([[2, 0, 0], [0, 2, 0], [-2, 0, 0], [0, -2, 0]], dtype=float)
BODIES = {  # rotations of the point group
    "tetrahedron": (np.array([16, 8, 8, 8, 8]), np.vstack([np.zeros(3), TETRAHEDRON]), 12),
    "square": (np.array([78, 17, 17, 17, 17]), np.vstack([np.zeros(3), SQUARE]), 8),
    "rectangle": (np.array([7] * 4), SQUARE[[0, 0, 2, 2]] + [[0, 1, 0], [0, -1, 0]] * 2, 4),
    "single atom": (np.array([30]), np.zeros((1, 3)), 1),
    "water": (np.array([8, 1, 1]), np.array([[0, 0, 0.1], [0.8, 0, -0.5], [-0.8, 0, -0.5]]), 2),
}


@pytest.mark.parametrize("name", BODIES)
def test_symmetries_are_the_rotations_of_the_point_group(name):
    species, positions, order = BODIES[name]
    positions = positions - positions.mean(0)
    found = superpositions(species, positions, species, positions)
    assert len(found) == order
    for turn in found:
        assert np.allclose(turn @ turn.T, np.eye(3))
        assert np.linalg.det(turn) == pytest.approx(1)


def test_a_turned_body_in_another_order_is_found_again():
    species, positions, _ = BODIES["water"]
    positions = positions - positions.mean(0)
    turn = Rotation.random(random_state=3).as_matrix()
    order = [2, 0, 1]
    found = superpositions(species, positions, species[order], positions[order] @ turn.T)
    assert min(np.abs(one - turn).max() for one in found) < 1e-8


def test_mirror_images_are_not_alike():
    species = np.array([6, 1, 9, 17, 35])
    positions = np.vstack([np.zeros(3), TETRAHEDRON * [[0.9], [1.2], [1.6], [1.8]]])
    positions = positions - positions.mean(0)
    mirrored = positions * [1, 1, -1]
    assert len(superpositions(species, positions, species, positions)) == 1
    assert len(superpositions(species, positions, species, mirrored)) == 0


def test_other_elements_are_not_alike():
    species, positions, _ = BODIES["square"]
    assert len(superpositions(species, positions, species + 1, positions)) == 0


def test_a_frame_turns_with_its_body():
    generator = np.random.default_rng(1)
    species, positions = np.array([6, 7, 8, 9]), generator.standard_normal((4, 3))
    positions = positions - positions.mean(0)
    turn = Rotation.random(random_state=5).as_matrix()
    axes = principal_axes(species, positions)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert np.allclose(principal_axes(species, positions @ turn.T), turn @ axes)
