"""Guidance without a classifier gives the law that it promises."""

import math

import pytest
import torch

from ase_crysdiff.conditions.classifier_free import ClassifierFree
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.processes.categorical_diffusion import CategoricalDiffusion
from ase_crysdiff.processes.flow import TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.schedules.noise import Cosine, CosineSurvival

LAYOUT = Layout((1,) * 5, dtype=torch.float64)
TOLD = {"band_gap": torch.ones(5)}


def lattice():
    polar = LatticePolar([0.0] * 6, [1.0] * 6)
    return JointProcess(Component("lattice", polar, GaussianDiffusion(6, Cosine(), "velocity")))


def test_scores_are_mixed_as_published(generator):
    """Two normal laws of one width: the guided estimate is that of the law whose mean lies `weight`
    of the way from the free one to the told one.
    """
    joint, t, means = lattice(), 0.4, {False: -0.3, True: 0.5}
    process = joint.components["lattice"].process
    signal, noise = process.scales(t)
    state = {"lattice": torch.randn(5, 6, generator=generator, dtype=torch.float64)}

    def posterior(mean):
        return mean + signal / (signal**2 + noise**2) * (state["lattice"] - signal * mean)

    def denoise(state, t, context):
        clean = posterior(means["band_gap" in context])
        return {"lattice": joint.from_clean("lattice", state, clean, t, LAYOUT)}

    for weight in (0.0, 1.0, 3.0):
        guided = ClassifierFree(["band_gap"], weight).wrap(denoise, joint, LAYOUT)
        found = joint.clean("lattice", state, guided(state, t, TOLD), t, LAYOUT)
        wanted = posterior(means[False] + weight * (means[True] - means[False]))
        torch.testing.assert_close(found, wanted, atol=1e-9, rtol=0)


def test_on_the_torus_the_way_is_the_shortest():
    joint = JointProcess(Component("frac_coords", FracCoords(), TorusFlow()))
    state = {"frac_coords": torch.full((5, 3), 0.5, dtype=torch.float64)}

    def denoise(state, t, context):
        clean = torch.full((5, 3), 0.05 if context else 0.95, dtype=torch.float64)
        return {"frac_coords": joint.from_clean("frac_coords", state, clean, t, LAYOUT)}

    guided = ClassifierFree(["band_gap"], 2.0).wrap(denoise, joint, LAYOUT)
    found = joint.clean("frac_coords", state, guided(state, 0.4, TOLD), 0.4, LAYOUT)
    torch.testing.assert_close(
        found, torch.full((5, 3), 0.15, dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_probabilities_are_multiplied_and_the_impossible_stays_so():
    species = CategoricalDiffusion(3, CosineSurvival())
    joint = JointProcess(Component("species", ClassIndex(), species))
    free = torch.tensor([0.5, 0.5, 0.0]).double().expand(5, 3)
    told = torch.tensor([0.8, 0.2, 0.0]).double().expand(5, 3)
    state = {"species": torch.zeros(5, dtype=torch.long)}

    def denoise(state, t, context):
        return {"species": (told if context else free).log()}

    guided = ClassifierFree(["band_gap"], 2.0).wrap(denoise, joint, LAYOUT)
    found = guided(state, 0.4, TOLD)["species"].softmax(-1)[0]
    ratio = 0.8**2 / 0.5 / (0.2**2 / 0.5)
    assert float(found[0] / found[1]) == pytest.approx(ratio)
    assert float(found[2]) == 0


def test_neutral_weights_ask_once():
    joint, asked = lattice(), []
    state = {"lattice": torch.zeros(5, 6, dtype=torch.float64)}

    def denoise(state, t, context):
        asked.append(set(context))
        return {"lattice": state["lattice"]}

    assert ClassifierFree(["band_gap"], 1.0).wrap(denoise, joint, LAYOUT) is denoise
    more = {**TOLD, "species": torch.ones(5)}
    ClassifierFree(["band_gap"], 0.0).wrap(denoise, joint, LAYOUT)(state, 0.4, more)
    assert asked == [{"species"}]


@pytest.mark.parametrize(("names", "weight"), [([], 1.0), (["band_gap"], -1.0), (["a"], math.nan)])
def test_nonsense_is_refused(names, weight):
    with pytest.raises(InputError):
        ClassifierFree(names, weight)
