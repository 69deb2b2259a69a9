"""Guidance on the noisy state has the tilted law where that is known, and leaves alone what it must
not touch.
"""

import math

import pytest
import torch
from gaussians import FREE, POLAR, assert_law, gaussian_denoiser, joint_of, sampled

from ase_crysdiff.conditions.noisy_guidance import NoisyEnergyGuidance
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.geometry.distributions import wrapped_normal_log_density
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.processes.flow import TorusFlow
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.lattice_matrix import LatticeMatrix
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.sampling.solvers.ode import Ode

CARBON = frozenset({6})


class Tilt:
    """E_t of the energy that turns one normal law of the data into another, from the noisy laws of
    both; scale 1.
    """

    def __init__(self, joint, component, data, tilted):
        self.joint, self.component, self.data, self.tilted = joint, component, data, tilted

    def __call__(self, state, t, context, layout):
        value = state[self.component]
        logs = [self.log_density(value, float(t[0]), *law) for law in (self.data, self.tilted)]
        rows = (logs[0] - logs[1]).sum(-1)
        if self.component == "lattice":
            return rows
        return torch.zeros_like(t).index_add(0, layout.batch_index, rows)

    def log_density(self, value, t, mean, variance):
        process = self.joint.components[self.component].process
        signal, noise = process.scales(t)
        if self.component == "lattice":
            spread = signal**2 * variance + noise**2
            return -(value - signal * mean).square() / 2 / spread
        if isinstance(process, TorusFlow):  # a normal law smeared over a box of width t
            images = torch.arange(-2, 3, dtype=value.dtype)[:, None, None]
            away = (shortest_image(value - mean) + images) / math.sqrt(variance)
            half = t / 2 / math.sqrt(variance)
            # From the tail that is far, so that a difference of small numbers is not one of ones.
            far = away.abs()
            mass = torch.special.ndtr(half - far) - torch.special.ndtr(-half - far)
            return torch.log(mass.sum(0) + 1e-12)
        return wrapped_normal_log_density(
            value - mean, value.new_tensor(math.sqrt(variance + noise**2))
        )


def guidance_of(joint, energy, crystals, scale=1.0, **settings):
    species = torch.full((crystals,), 6)
    return NoisyEnergyGuidance(
        energy,
        joint,
        CARBON,
        20,
        scale,
        **{**FREE, "window": (0.0, 1.0), "species": species} | settings,
    )


def guided_coordinates(family):
    """Samples under normal data and a quadratic energy, and mean and variance of the tilted law and
    of the data.
    """
    mean, variance, stiffness, rest = 0.45, 0.05**2, 300.0, 0.52
    product = 1 / (1 / variance + stiffness)
    centre = product * (mean / variance + stiffness * rest)
    joint, layout = joint_of(family), Layout((1,) * 200, dtype=torch.float64)
    guidance = guidance_of(
        joint, Tilt(joint, "frac_coords", (mean, variance), (centre, product)), 200
    )
    solver = Ode(1) if family == "flow" else None
    state = sampled(
        joint, guidance, layout, gaussian_denoiser(joint, layout, mean, variance), 100, solver
    )
    assert not guidance.usage.unguided.total()
    assert guidance.usage.evaluations == 100 * 200
    return state["frac_coords"].flatten(), (centre, product), (mean, variance)


def test_guided_diffusion_of_coordinates_has_the_tilted_law():
    """The unguided mean would be off by 0.8 deviations."""
    values, (centre, product), _ = guided_coordinates("diffusion")
    assert_law(values, centre, product, bias=0.1)


def test_guided_flow_of_coordinates_comes_near_the_tilted_law():
    """Uniform noise: the mean arrives, the law becomes narrower, but not as narrow as it should."""
    values, (centre, product), (mean, variance) = guided_coordinates("flow")
    assert abs(float(values.mean()) - centre) < 0.35 * abs(centre - mean)
    assert product < float(values.var()) < 0.92 * variance


@pytest.mark.parametrize("family", ["diffusion", "flow", "flow by Heun"])
def test_guided_lattices_have_the_tilted_law(family):
    """Standard normal numbers, tilted toward 0.6 with half the variance."""
    joint, layout = (
        joint_of("flow" if "flow" in family else "diffusion"),
        Layout((1,) * 400, dtype=torch.float64),
    )
    guidance = guidance_of(joint, Tilt(joint, "lattice", (0.0, 1.0), (0.6, 0.5)), 400)
    solver = {"flow by Heun": Ode(2), "flow": Ode(1)}.get(family)
    state = sampled(
        joint, guidance, layout, gaussian_denoiser(joint, layout, 0.5, 0.05**2), 50, solver
    )
    assert_law(state["lattice"].flatten(), 0.6, 0.5, bias=0.08)
    assert_law(state["frac_coords"].flatten(), 0.5, 0.05**2, bias=0.1)


def inputs(joint, crystals=4, size=2):
    layout = Layout((size,) * crystals)
    generator = torch.Generator().manual_seed(0)
    state = {
        "lattice": torch.randn(
            crystals, joint.components["lattice"].representation.width, generator=generator
        ),
        "frac_coords": torch.rand(crystals * size, 3, generator=generator),
    }
    prediction = {name: torch.randn(x.shape, generator=generator) for name, x in state.items()}
    return layout, state, prediction


def pull(state, t, context, layout):
    """A steep energy of everything."""
    rows = 1e6 * (2 * torch.pi * state["frac_coords"]).sin().sum(-1)
    return 1e6 * state["lattice"].sum(-1) + torch.zeros_like(t).index_add(
        0, layout.batch_index, rows
    )


def shifts(joint, prediction, guided, state, t, layout):
    result = {}
    for name, c in joint.components.items():
        times = torch.full((len(state[name]),), t)
        before, after = (c.process.clean(state[name], p[name], times) for p in (prediction, guided))
        result[name] = after - before if name == "lattice" else shortest_image(after - before)
    return result


@pytest.mark.parametrize("family", ["diffusion", "flow"])
@pytest.mark.parametrize("t", [0.001, 0.3, 0.9, 0.99])
def test_moves_are_bounded_however_steep_the_energy(family, t):
    joint = joint_of(family)
    layout, state, prediction = inputs(joint)
    guidance = guidance_of(joint, pull, 8, max_shift=0.05)
    guided = guidance.wrap(lambda s, t, c: prediction, joint, layout)(state, t, {})
    moved = shifts(joint, prediction, guided, state, t, layout)
    assert all(torch.isfinite(x).all() for x in guided.values())
    sizes = torch.linalg.vector_norm(moved["frac_coords"], dim=-1)
    assert (sizes < 0.0501).all()
    assert (sizes > 0.045).any()
    strain = (torch.expm1((0.1 * moved["lattice"]).abs())).amax()
    assert 1e-3 < float(strain) < 0.06


def test_scale_zero_hands_the_denoiser_back():
    joint = joint_of("diffusion")

    def denoise(state, t, context):
        raise AssertionError("not called")

    assert guidance_of(joint, pull, 8, scale=0.0).wrap(denoise, joint, Layout((2,) * 4)) is denoise


def test_outside_the_window_and_at_the_prior_of_a_flow_nothing_is_computed():
    joint = joint_of("flow")
    layout, state, prediction = inputs(joint)
    guidance = guidance_of(joint, pull, 8, window=(0.2, 1.0))
    guided = guidance.wrap(lambda s, t, c: prediction, joint, layout)
    for t in (0.1, 1.0):
        assert guided(state, t, {}) is prediction
    assert guidance.usage.take() == {}


@pytest.mark.parametrize("case", ["element", "size", "gradient"])
def test_crystals_that_the_model_cannot_judge_go_their_way_and_are_counted(case):
    joint = joint_of("diffusion")
    layout, state, prediction = inputs(joint, 3, 2)

    def energy(state, t, context, layout):
        value = pull(state, t, context, layout)
        return value * torch.tensor([1.0, torch.nan, 1.0]) if case == "gradient" else value

    species = torch.full((6,), 6)
    if case == "element":
        species[3] = 79
    guidance = NoisyEnergyGuidance(
        energy, joint, CARBON, 1 if case == "size" else 20, 1.0, (0.0, 1.0), species=species
    )
    guided = guidance.wrap(lambda s, t, c: prediction, joint, layout)(state, 0.4, {})
    alone = [0, 1, 2] if case == "size" else [1]
    for i in range(3):
        same = torch.equal(guided["lattice"][i], prediction["lattice"][i])
        same &= torch.equal(
            guided["frac_coords"][2 * i : 2 * i + 2], prediction["frac_coords"][2 * i : 2 * i + 2]
        )
        assert same == (i in alone)
    counts = {k: v for k, v in guidance.usage.take().items() if k.startswith("unguided")}
    assert sum(counts.values()) == len(alone)
    assert ("finite" in next(iter(counts))) == (case == "gradient")


def test_crystals_do_not_feel_each_other():
    joint = joint_of("diffusion")
    layout, state, prediction = inputs(joint)
    whole = guidance_of(joint, pull, 8).wrap(lambda s, t, c: prediction, joint, layout)(
        state, 0.4, {}
    )
    one = guidance_of(joint, pull, 2).wrap(
        lambda s, t, c: {
            "lattice": prediction["lattice"][:1],
            "frac_coords": prediction["frac_coords"][:2],
        },
        joint,
        Layout((2,)),
    )({"lattice": state["lattice"][:1], "frac_coords": state["frac_coords"][:2]}, 0.4, {})
    assert torch.equal(one["lattice"], whole["lattice"][:1])
    assert torch.equal(one["frac_coords"], whole["frac_coords"][:2])


def test_samplers_with_other_noise_are_refused():
    trained, layout = joint_of("diffusion"), Layout((2,) * 4)
    others = {
        "lattice and frac_coords": joint_of("flow"),
        r"\(lattice\)": joint_of("diffusion", LatticePolar(list(POLAR.mean), [0.2] * 6)),
        "lattice": joint_of("diffusion", LatticeMatrix()),
    }
    for words, joint in others.items():
        with pytest.raises(IncompatibleError, match=words):
            guidance_of(trained, pull, 8).wrap(lambda s, t, c: {}, joint, layout)
    kinds = JointProcess(
        *trained.components.values(),
        Component("species", ClassIndex(), trained.components["lattice"].process),
    )
    with pytest.raises(IncompatibleError, match="generates species"):
        guidance_of(trained, pull, 8).wrap(lambda s, t, c: {}, kinds, layout)
    again = joint_of("diffusion", LatticePolar(list(POLAR.mean), list(POLAR.scale)))
    assert callable(guidance_of(trained, pull, 8).wrap(lambda s, t, c: {}, again, layout))
