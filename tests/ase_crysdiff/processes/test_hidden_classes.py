"""Classes that are hidden one by one and come back once."""

import numpy as np
import pytest
import torch

from ase_crysdiff.conditions.base import Estimating
from ase_crysdiff.conditions.species import AllowedSpecies
from ase_crysdiff.constants import HIDDEN, NUM_SPECIES
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.processes.categorical_diffusion import make
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.schedules.plans import UniformPlan


@pytest.fixture
def process():
    return make(kernel="hidden")


def drawn(process, predict, steps, rows, generator):
    stream = GeneratorStream(rows, generator)
    value = process.prior(stream)
    assert (value == HIDDEN).all()
    for t, s in UniformPlan(steps, 1.0):
        times = [torch.full((rows,), x) for x in (t, s)]
        value = process.reverse(value, predict(value), *times, stream)
    return value


def test_what_goes_together_comes_together(process, generator):
    """Rows in pairs that are of one class, 3 or 7; the network knows this and nothing else. Drawn
    side by side in one step half of the pairs would differ; one by one hardly any does.
    """
    rows = 4000

    def predict(value):
        other = value.view(-1, 2).flip(1).flatten()
        logits = torch.full((rows, NUM_SPECIES), -30.0)
        logits[:, 3], logits[:, 7] = np.log(0.25), np.log(0.75)
        known = other != HIDDEN
        logits[known] = -30.0
        logits[known, other[known]] = 0.0
        return logits

    for steps, least in ((1, 0.6), (100, 0.97)):
        value = drawn(process, predict, steps, rows, generator)
        assert set(value.tolist()) == {3, 7}
        pairs = value.view(-1, 2)
        alike = float((pairs[:, 0] == pairs[:, 1]).float().mean())
        assert alike > least if steps > 1 else alike == pytest.approx(0.625, abs=0.04)
        assert float((value == 7).float().mean()) == pytest.approx(0.75, abs=0.04)


def test_as_many_are_hidden_as_the_schedule_says(process, generator):
    rows = 20_000
    clean = torch.randint(0, 90, (rows,), generator=generator)
    for t in (0.1, 0.5, 0.9):
        times = torch.full((rows,), t)
        noisy, target = process.corrupt(clean, times, GeneratorStream(rows, generator))
        assert torch.equal(target, clean)
        shown = noisy != HIDDEN
        assert torch.equal(noisy[shown], clean[shown])
        share = float(process.schedule.survival(times[:1]))
        assert float(shown.float().mean()) == pytest.approx(share, abs=0.015)


def test_only_hidden_classes_are_learnt(process):
    value = torch.tensor([5, HIDDEN, HIDDEN])
    target = torch.tensor([5, 5, 8])
    logits = torch.zeros(3, NUM_SPECIES)
    losses = process.loss(logits, target, value, torch.full((3,), 0.5))
    assert losses.tolist() == pytest.approx([0.0, np.log(NUM_SPECIES), np.log(NUM_SPECIES)])


def test_shown_classes_stay_unless_a_condition_forbids_them(process, generator):
    """Also where several conditions read and write the clean estimate."""
    rows = 1000
    joint = JointProcess(Component("species", ClassIndex(), process))
    layout = Layout((10,) * (rows // 10))
    allowed = torch.zeros(rows, NUM_SPECIES, dtype=torch.bool)
    allowed[:, [5, 8]] = True

    class Neutral(Estimating):
        component = "species"

        def estimate(self, clean, t, layout):
            return clean

    def network(state, t, context):
        logits = torch.zeros(rows, NUM_SPECIES)
        logits[:, 8] = 3.0
        return {"species": logits}

    for start, expected in ((5, {5}), (6, {5, 8})):
        state = {"species": torch.full((rows,), start)}
        denoise = network
        for condition in (Neutral(), AllowedSpecies(allowed), Neutral()):
            denoise = condition.wrap(denoise, joint, layout)
        for t, s in ((0.5, 0.25), (0.25, 0.0)):
            prediction = denoise(state, t, {})
            state = joint.reverse(
                state,
                prediction,
                t,
                s,
                layout,
                lambda *_: GeneratorStream(rows, generator),
            )
        assert set(state["species"].tolist()) == expected


def test_unknown_kernels_are_refused():
    with pytest.raises(InputError, match="'hidden'"):
        make(kernel="masked")
