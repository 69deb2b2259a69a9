"""Solvers on the joint state of a crystal, with a denoiser that knows the answer."""

import pytest
import torch

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.processes.categorical_diffusion import CategoricalDiffusion
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.processes.wrapped_diffusion import WrappedDiffusion
from ase_crysdiff.randomness import Streams
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.sampling.solvers import make_solver
from ase_crysdiff.sampling.solvers.ode import Ode
from ase_crysdiff.schedules.noise import Cosine, CosineSurvival, Geometric
from ase_crysdiff.schedules.plans import UniformPlan


def solver_of(sampling):
    return make_solver(SamplingSettings.of(sampling))


LAYOUT = Layout((2, 3), dtype=torch.float64)


def joint(family):
    lattice = LatticePolar([0.0] * 6, [1.0] * 6)
    if family == "flow":
        return JointProcess(
            Component("lattice", lattice, LinearFlow(6)),
            Component("frac_coords", FracCoords(), TorusFlow(), centred=True),
        )
    return JointProcess(
        Component("lattice", lattice, GaussianDiffusion(6, Cosine(), "velocity")),
        Component("frac_coords", FracCoords(), WrappedDiffusion(Geometric())),
        Component("species", ClassIndex(), CategoricalDiffusion(100, CosineSurvival())),
    )


@pytest.fixture
def clean(generator):
    return {
        "lattice": torch.randn(2, 6, generator=generator, dtype=torch.float64),
        "frac_coords": torch.rand(5, 3, generator=generator, dtype=torch.float64),
        "species": torch.tensor([3, 8, 26, 8, 8]),
    }


@pytest.mark.parametrize("family", ["diffusion", "flow"])
@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"solver": "euler"},
        {"solver": "heun"},
        {"solver": "euler", "velocity_annealing": {"frac_coords": 5.0}},
    ],
)
def test_every_solver_reaches_what_the_denoiser_knows(family, sampling, clean):
    process, solver, calls = joint(family), solver_of(sampling), 0

    def denoise(state, t):
        nonlocal calls
        calls += 1
        prediction = {}
        for name, c in process.components.items():
            times = torch.full((len(state[name]),), t, dtype=torch.float64)
            prediction[name] = c.process.from_clean(state[name], clean[name], times)
        return prediction

    streams = Streams(0, (0, 1))

    def draws_at(step):
        return lambda name, level: streams.rng(
            name, step, LAYOUT.rows_per_crystal(level), LAYOUT.device, LAYOUT.dtype
        )

    state, plan = process.prior(draws_at(0)), UniformPlan(40)
    for number, (t, s) in enumerate(plan, start=1):
        state = solver.step(denoise, process, state, t, s, LAYOUT, draws_at(number))
    assert calls == solver.evaluations(len(plan))
    torch.testing.assert_close(state["lattice"], clean["lattice"], atol=1e-6, rtol=0)
    assert float(shortest_image(state["frac_coords"] - clean["frac_coords"]).abs().max()) < 1e-6
    if family == "diffusion":
        assert torch.equal(state["species"], clean["species"])


def test_deterministic_solvers_use_no_noise_for_continuous_components(clean):
    """Two solvers from one state with other random numbers agree; the ancestral one does not."""
    process = joint("diffusion")
    del process.components["species"]
    state = {"lattice": clean["lattice"], "frac_coords": clean["frac_coords"]}
    prediction = {"lattice": 0.3 * clean["lattice"], "frac_coords": clean["frac_coords"] - 0.5}
    results = {}
    for name in ("euler", "heun", "ancestral"):
        for seed in (0, 1):
            streams = Streams(seed, (0, 1))

            def rng(component, level, streams=streams):
                return streams.rng(
                    component, 1, LAYOUT.rows_per_crystal(level), LAYOUT.device, LAYOUT.dtype
                )

            solver = solver_of({"solver": name})
            results[name, seed] = solver.step(
                lambda state, t: prediction, process, state, 0.5, 0.4, LAYOUT, rng
            )["lattice"]
    assert torch.equal(results["euler", 0], results["euler", 1])
    assert torch.equal(results["heun", 0], results["heun", 1])
    assert not torch.equal(results["ancestral", 0], results["ancestral", 1])


def test_centred_targets_ignore_a_common_shift(generator):
    process = joint("flow")
    target = {
        "lattice": torch.zeros(2, 6, dtype=torch.float64),
        "frac_coords": torch.randn(5, 3, generator=generator).double(),
    }
    state, t = (
        {"lattice": target["lattice"], "frac_coords": target["frac_coords"]},
        torch.full((2,), 0.5, dtype=torch.float64),
    )
    prediction = {
        "lattice": target["lattice"],
        "frac_coords": LAYOUT.centred(target["frac_coords"]),
    }
    assert float(process.loss(prediction, target, state, t, LAYOUT)["frac_coords"].max()) < 1e-12
    torch.testing.assert_close(
        LAYOUT.centred(torch.ones(5, 3, dtype=torch.float64)),
        torch.zeros(5, 3, dtype=torch.float64),
    )


def test_unknown_solver_names_what_there_is():
    with pytest.raises(UnknownNameError, match="ancestral, end-back, euler, heun"):
        solver_of({"solver": "leapfrog"})
    with pytest.raises(InputError, match="order"):
        Ode(3)
