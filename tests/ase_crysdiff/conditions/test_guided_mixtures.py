"""Guided draws follow the law that theory gives, on mixtures of two normals where everything is
known in closed form: weight 0 is the whole mixture, weight 1 the part that is told, and beyond 1
what the published rule says at each time.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch

from ase_crysdiff.conditions.classifier_free import ClassifierFree
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.flow import LinearFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.schedules.noise import Cosine

MEANS, SHARES, WIDTH = torch.tensor([-1.0, 1.5]).double(), torch.tensor([0.7, 0.3]).double(), 0.3
COUNT, STEPS = 3000, 60
LAYOUT = Layout((1,) * COUNT, dtype=torch.float64)
PROCESSES = {"flow": LinearFlow(6), "diffusion": GaussianDiffusion(6, Cosine(), "velocity")}


def posterior_mean(x, signal, noise, shares):
    """E[clean | noisy] of one number of a mixture, and the logarithm of its density, up to one
    number.
    """
    variance = signal**2 * WIDTH**2 + noise**2
    logs = shares.log() - (x.unsqueeze(-1) - signal * MEANS) ** 2 / (2 * variance)
    each = MEANS + signal * WIDTH**2 / variance * (x.unsqueeze(-1) - signal * MEANS)
    return (logs.softmax(-1) * each).sum(-1), torch.logsumexp(logs, -1)


def model(name):
    """Processes and a denoiser that knows everything: the first number is of the mixture, and a
    told class leaves one part of it.
    """
    process = PROCESSES[name]
    polar = LatticePolar([0.0] * 6, [1.0] * 6)
    joint = JointProcess(Component("lattice", polar, process))

    def denoise(state, t, context):
        signal, noise = process.scales(t)
        x = state["lattice"]
        shares = torch.tensor([0.0, 1.0]).double() if "gap" in context else SHARES
        clean = x * signal * WIDTH**2 / (signal**2 * WIDTH**2 + noise**2)
        clean[:, 0] = posterior_mean(x[:, 0], signal, noise, shares)[0]
        return {"lattice": joint.from_clean("lattice", state, clean, t, LAYOUT)}

    return process, joint, denoise


def drawn(name, weight, generator):
    """The first number of many draws."""
    _, joint, denoise = model(name)
    guided = ClassifierFree(["gap"], weight).wrap(denoise, joint, LAYOUT)
    told = {"gap": torch.ones(COUNT, 1)}

    def rng(component, level):
        return GeneratorStream(COUNT, generator, torch.float64)

    state = joint.prior(rng)
    times = np.linspace(0.995, 0.0, STEPS + 1)
    for t, s in pairwise(times.tolist()):
        state = joint.reverse(state, guided(state, t, told), t, s, LAYOUT, rng)
    return state["lattice"][:, 0]


@pytest.mark.parametrize("name", PROCESSES)
def test_weight_0_draws_the_mixture_and_weight_1_the_part_that_is_told(name, generator):
    free, told = drawn(name, 0.0, generator), drawn(name, 1.0, generator)
    assert float((free > 0).double().mean()) == pytest.approx(0.3, abs=0.04)
    assert float(free[free > 0].mean()) == pytest.approx(1.5, abs=0.05)
    assert float(free[free < 0].mean()) == pytest.approx(-1.0, abs=0.05)
    assert float((told > 0).double().mean()) > 0.995
    assert float(told.mean()) == pytest.approx(1.5, abs=0.03)
    assert float(told.std()) == pytest.approx(WIDTH, abs=0.04)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 3.0])
def test_guided_scores_are_the_published_mixture_of_scores(name, weight, generator):
    """∇ log p(x|c)^w p(x)^(1-w), by differences of the exact densities."""
    process, joint, denoise = model(name)
    t = 0.4
    signal, noise = process.scales(t)
    state = {"lattice": torch.randn(COUNT, 6, generator=generator, dtype=torch.float64)}
    guided = ClassifierFree(["gap"], weight).wrap(denoise, joint, LAYOUT)
    found = guided(state, t, {"gap": torch.ones(COUNT, 1)})
    clean = joint.clean("lattice", state, found, t, LAYOUT)[:, 0]
    score = (signal * clean - state["lattice"][:, 0]) / noise**2

    def log_density(x):
        only = torch.tensor([0.0, 1.0]).double()
        free, told = (posterior_mean(x, signal, noise, s)[1] for s in (SHARES, only))
        return weight * told + (1 - weight) * free

    x, step = state["lattice"][:, 0], 1e-5
    wanted = (log_density(x + step) - log_density(x - step)) / (2 * step)
    torch.testing.assert_close(score, wanted, atol=1e-5, rtol=1e-5)


def test_beyond_1_draws_lie_farther_from_what_is_not_told(generator):
    plain, strong = (drawn("flow", weight, generator) for weight in (1.0, 3.0))
    assert float(strong.mean()) > float(plain.mean()) + 0.02
    assert float((strong > 0).double().mean()) > 0.995
