"""States with auxiliaries and rows of free numbers go through the loop like any others."""

import pytest
import torch

from ase_crysdiff.conditions.inpainting import KnownRows
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import ShapeError
from ase_crysdiff.processes.base import ComponentState, Process
from ase_crysdiff.processes.flow import LinearFlow
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.processes.state import CompositeState, auxiliaries, kept, replaced, state_of
from ase_crysdiff.randomness import Streams
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.sampling.solvers.predictor_corrector import PredictorCorrector
from ase_crysdiff.schedules.plans import UniformPlan


class Counting(Process[ComponentState]):
    """Remembers in an auxiliary how many steps a row has seen."""

    width = 1

    def prior(self, rng):
        value = rng.normal(1)
        return ComponentState(value, {"steps": torch.zeros(len(value))})

    def corrupt(self, clean, t, rng):
        return ComponentState(clean + t[:, None], {"steps": torch.zeros(len(clean))}), clean

    def clean(self, value, prediction, t):
        return prediction

    def from_clean(self, value, clean, t):
        return clean

    def reverse(self, value, prediction, t, s, rng):
        return ComponentState(prediction, {"steps": value.auxiliaries["steps"] + 1})

    def renoise(self, value, s, t, rng):
        return value


class FreeNumbers(Representation):
    """Free numbers of symmetric sites, of which a toy crystal stores none."""

    field, level, width = "frac_coords", "freedom", 1

    def encode(self, batch):
        raise NotImplementedError

    def decode(self, value):
        return value


LAYOUT = Layout((2, 3, 3), freedoms=(0, 2, 1))


@pytest.fixture
def joint():
    polar = LatticePolar([0.0] * 6, [1.0] * 6)
    return JointProcess(
        Component("lattice", polar, LinearFlow(6)),
        Component("free", FreeNumbers(), Counting()),
    )


def rng(step):
    streams = Streams(0, (0, 1, 2))
    return lambda name, level: streams.rng(
        name, step, LAYOUT.rows_per_crystal(level), LAYOUT.device, LAYOUT.dtype
    )


def test_free_numbers_are_a_level_of_their_own():
    assert LAYOUT.rows("freedom") == 3
    assert LAYOUT.index("freedom").tolist() == [1, 1, 2]
    assert LAYOUT.broadcast(torch.tensor([5.0, 6.0, 7.0]), "freedom").tolist() == [6.0, 6.0, 7.0]
    with pytest.raises(ShapeError, match="no free numbers"):
        Layout((2,)).rows("freedom")
    for wrong in ((1, 2), (0, -1, 2)):
        with pytest.raises(ShapeError, match="freedoms"):
            Layout((2, 3, 3), freedoms=wrong)


def test_auxiliaries_travel_through_all_steps(joint):
    state = joint.prior(rng(0))
    assert isinstance(state, CompositeState)
    assert state["free"].shape == (3, 1)

    def predict(state, t):
        assert set(auxiliaries(state, "free")) == {"steps"}
        return {"lattice": torch.zeros(3, 6), "free": torch.full((3, 1), 0.25)}

    for number, (t, s) in enumerate(UniformPlan(5), 1):
        solver = PredictorCorrector({})
        state = solver.step(predict, joint, state, t, s, LAYOUT, rng(number))
    assert auxiliaries(state, "free")["steps"].tolist() == [5.0] * 3
    assert state["free"].flatten().tolist() == [0.25] * 3


def test_conditions_keep_auxiliaries(joint):
    state = joint.prior(rng(0))
    held = KnownRows("free", torch.full((3, 1), 9.0), torch.tensor([True, False, True]))
    after = held.project(state, 0.0, joint, LAYOUT, rng(1))
    assert after["free"].flatten()[[0, 2]].tolist() == [9.0, 9.0]
    assert auxiliaries(after, "free").keys() == {"steps"}


def test_a_state_without_auxiliaries_is_a_plain_dictionary():
    plain = state_of({"a": torch.zeros(2)})
    assert isinstance(plain, dict)
    assert torch.equal(kept(replaced(plain, "a", torch.ones(2)), "a"), torch.ones(2))
    assert auxiliaries(plain, "a") == {}
