"""Samplers of which everything is known: normal data, exact denoisers, and the laws that come
out.
"""

import math

import torch

from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.processes.wrapped_diffusion import WrappedDiffusion
from ase_crysdiff.randomness import Streams
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.sampling.solvers.predictor_corrector import PredictorCorrector
from ase_crysdiff.schedules.noise import Cosine, Geometric
from ase_crysdiff.schedules.plans import UniformPlan

POLAR = LatticePolar([0.0] * 5 + [math.log(4.0)], [0.1] * 6)
FREE = {"window": (0.0, 1.0), "max_shift": 1e6}


def joint_of(family, representation=POLAR):
    width = representation.width
    lattice = (
        LinearFlow(width) if family == "flow" else GaussianDiffusion(width, Cosine(), "velocity")
    )
    places = TorusFlow() if family == "flow" else WrappedDiffusion(Geometric(0.005, 0.5))
    return JointProcess(
        Component("lattice", representation, lattice),
        Component("frac_coords", FracCoords(), places),
    )


def gaussian_denoiser(joint, layout, mean, variance):
    """Posterior means for normal data: coordinates around `mean`, lattice numbers standard
    normal.
    """

    def denoise(state, t, context):
        rows = torch.full((layout.total_atoms,), t, dtype=layout.dtype)
        prediction = {}
        places, cell = joint.components["frac_coords"].process, joint.components["lattice"].process
        _, noise = places.scales(t)
        images = torch.arange(-3, 4, dtype=layout.dtype)[:, None, None]
        away = shortest_image(state["frac_coords"] - mean) + images
        if isinstance(
            places, TorusFlow
        ):  # uniform noise of width t per axis: the law of the clean value is cut there
            grid = torch.linspace(-0.5, 0.5, 401, dtype=layout.dtype) * min(1.0, 12 * variance**0.5)
            law = torch.exp(-grid.square() / 2 / variance)
            reachable = (shortest_image(away[3].unsqueeze(-1) - grid).abs() <= t / 2 + 1e-9).to(
                layout.dtype
            ) * law
            clean = mean + (reachable * grid).sum(-1) / reachable.sum(-1).clamp_min(1e-300)
        else:
            spread = variance + noise**2
            weight = torch.softmax(-away.square() / 2 / spread, 0)
            clean = mean + (weight * away).sum(0) * variance / spread
        prediction["frac_coords"] = places.from_clean(state["frac_coords"], clean, rows)
        signal, noise = cell.scales(t)
        estimate = state["lattice"] * signal / (signal**2 + noise**2)
        prediction["lattice"] = cell.from_clean(
            state["lattice"], estimate, rows[: layout.num_crystals]
        )
        return prediction

    return denoise


def sampled(joint, guidance, layout, denoise, steps=150, solver=None, seed=0):
    streams = Streams(seed, tuple(range(layout.num_crystals)))

    def draws_at(step):
        return lambda name, level: streams.rng(
            name, step, layout.rows_per_crystal(level), layout.device, layout.dtype
        )

    solver = solver or PredictorCorrector({})
    guided = guidance.wrap(denoise, joint, layout)
    state = joint.prior(draws_at(0))
    for number, (t, s) in enumerate(UniformPlan(steps, 0.99), 1):
        state = solver.step(
            lambda x, at: guided(x, at, {}), joint, state, t, s, layout, draws_at(number)
        )
    return state


def assert_law(values, mean, variance, bias=0.0):
    """Mean and variance within four standard errors; `bias` is what the length of the steps may
    cost, relative to both.
    """
    n, spread = len(values), math.sqrt(variance)
    assert abs(float(values.mean()) - mean) < 4 * spread / math.sqrt(n) + bias * spread, (
        float(values.mean()),
        mean,
        n,
    )
    found = float(values.var())
    assert abs(found - variance) < 4 * variance * math.sqrt(2 / n) + bias * variance, (
        found,
        variance,
        n,
    )
