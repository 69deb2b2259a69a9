"""Crystals on their way to free atoms."""

import numpy as np
import pytest

from ase_crysdiff.data.expansion import binding, expanded, length_scales
from ase_crysdiff.data.label_sources import joined
from ase_crysdiff.data.perturbations import Perturbation

FREE = {11: -0.2, 17: -0.6}
CELL = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) * 5.64


def salt(scale, energy, kind, name="salt", numbers=(11, 17)):
    return {
        "material_id": np.array([name]),
        "kind": np.array([kind]),
        "num_atoms": np.array([2]),
        "lattice": CELL[None] * scale,
        "energy_per_atom": np.array([energy]),
        "stress": np.zeros((1, 3, 3)),
        "frac_coords": np.array([[0, 0, 0], [0.5, 0.5, 0.5]]),
        "atomic_numbers": np.array(numbers),
        "forces": np.zeros((2, 3)),
    }


def curve(scale, length=0.2):
    return -0.4 - 3.0 * binding((scale - 1) / length)


@pytest.mark.parametrize("scale", [0.92, 1.06, 1.11])
def test_the_scale_of_a_curve_is_found_again(scale):
    arrays = joined(
        [
            salt(1.0, curve(1.0), Perturbation.UNPERTURBED),
            salt(scale, curve(scale), Perturbation.VOLUME),
        ]
    )
    assert length_scales(arrays, FREE)["salt"] == pytest.approx(0.2, rel=1e-6)


def test_what_tells_nothing_is_left_out():
    """Too small a change, energy that falls, an element that is not known."""
    pairs = [
        (salt(1.01, curve(1.01), Perturbation.VOLUME), (11, 17)),
        (salt(1.06, -3.5, Perturbation.VOLUME), (11, 17)),
        (salt(1.06, curve(1.06), Perturbation.VOLUME, numbers=(11, 9)), (11, 9)),
    ]
    for copy, numbers in pairs:
        crystal = salt(1.0, curve(1.0), Perturbation.UNPERTURBED, numbers=numbers)
        assert length_scales(joined([crystal, copy]), FREE) == {}


def test_copies_lie_on_the_curve_and_reach_free_atoms():
    crystal = salt(1.0, curve(1.0), Perturbation.UNPERTURBED)
    made = expanded(crystal, {"salt": 0.2}, FREE, 200, np.random.default_rng(0))
    scales = (np.linalg.det(made["lattice"]) / np.linalg.det(CELL)) ** (1 / 3)
    assert scales.min() >= 1.13
    assert scales.max() == pytest.approx(6 / 2.82, rel=0.05)
    assert made["energy_per_atom"] == pytest.approx([curve(s) for s in scales])
    assert made["energy_per_atom"].max() == pytest.approx(-0.4, abs=0.1)
    assert set(made["kind"]) == {Perturbation.EXPANDED}
    assert np.isnan(made["forces"]).all()
    assert np.isnan(made["stress"]).all()
    assert not len(expanded(crystal, {}, FREE, 3, np.random.default_rng(0))["kind"])
