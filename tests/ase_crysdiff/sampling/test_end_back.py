"""The solver that draws every state anew."""

import pytest
import torch

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.processes import categorical_bayesian_flow, periodic_bayesian_flow
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.randomness import Streams
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.sampling.solvers import make_solver

LAYOUT = Layout((200, 300))
JOINT = JointProcess(
    Component("frac_coords", FracCoords(), periodic_bayesian_flow.make()),
    Component("species", ClassIndex(), categorical_bayesian_flow.make(100)),
)


def rng(name, level):
    rows = LAYOUT.rows_per_crystal(level)
    return Streams(5, (0, 1)).rng(name, 1, rows, LAYOUT.device, LAYOUT.dtype)


def step(noise, s=0.5, odds=(0.25, 0.75)):
    """One step from nothing by a network that estimates one place, and two elements."""
    solver = make_solver(SamplingSettings(solver="end-back", noise=noise))
    state = JOINT.prior(rng)
    places = torch.full((500, 3), 0.4)
    logits = torch.full((500, 100), -torch.inf)
    logits[:, [8, 16]] = torch.tensor(odds).log()

    def denoise(seen, t):
        known = JOINT.from_clean("frac_coords", seen, places, t, LAYOUT)
        return {"frac_coords": known, "species": logits}

    return solver.step(denoise, JOINT, state, 1.0, s, LAYOUT, rng)


def test_states_have_their_own_law():
    found = step(1.0)
    clean = {"frac_coords": torch.full((500, 3), 0.4), "species": torch.full((500,), 8)}
    drawn, _ = JOINT.corrupt(clean, torch.full((2,), 0.5), LAYOUT, rng)
    torch.testing.assert_close(found["frac_coords"], drawn["frac_coords"])


def test_less_noise_draws_nearer_to_the_estimate():
    spreads = [shortest_image(step(x)["frac_coords"] - 0.4).std() for x in (1.0, 0.5)]
    assert float(spreads[1] / spreads[0]) == pytest.approx(0.5, abs=0.05)


def test_classes_are_drawn_from_their_probabilities():
    species = step(1.0, s=0.0)["species"]
    assert set(species.tolist()) == {8, 16}
    assert float((species == 16).float().mean()) == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("noise", [0.0, -1.0, float("nan"), "much"])
def test_senseless_noise_is_refused(noise):
    with pytest.raises(InputError, match="noise must be a number above 0"):
        SamplingSettings.of({"noise": noise})
