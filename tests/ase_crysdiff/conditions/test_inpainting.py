"""Known rows against oracles: a network that knows the crystal, but not where its origin is."""

import math

import pytest
import torch

from ase_crysdiff.conditions.inpainting import KnownPositions, KnownRows
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.base import Denoiser
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling import loop
from ase_crysdiff.sampling.solvers.ode import Ode
from ase_crysdiff.sampling.solvers.predictor_corrector import PredictorCorrector
from ase_crysdiff.schedules.plans import RepaintPlan, UniformPlan

SIZE, HOST, COUNT = 6, 4, 12


class BlindOracle(Denoiser):
    """Knows cell, positions up to a common shift, and species; says so as clean estimates."""

    def __init__(self, joint, truth):
        torch.nn.Module.__init__(self)
        self.joint, self.truth = joint, truth

    def forward(self, state, t, context, layout):
        prediction = {}
        for name, component in self.joint.components.items():
            level, clean = component.representation.level, self.truth[name]
            if name == "frac_coords":
                phase = (
                    2 * math.pi * (state[name] - clean).unflatten(0, (layout.num_crystals, SIZE))
                )
                shift = torch.atan2(phase.sin().sum(1), phase.cos().sum(1)) / (2 * math.pi)
                clean = wrap(clean + layout.broadcast(shift, "atom"))
            prediction[name] = component.process.from_clean(
                state[name], clean, layout.broadcast(t, level)
            )
        return prediction


def setup(crystals, family):
    name = "miad" if family == "diffusion" else "dao-g"
    config = {
        **recipe(name).configure(crystals),
        "family": family,
        "encoder": {"name": "cspnet", "hidden": 32, "layers": 1},
    }
    built = recipe(name).build(config)
    draw = torch.Generator().manual_seed(3)
    truth = {
        "lattice": torch.randn(1, 6, generator=draw).repeat(COUNT, 1),
        "frac_coords": torch.rand(SIZE, 3, generator=draw).repeat(COUNT, 1),
    }
    species = torch.tensor([3, 8, 8, 22, 3, 3])
    if "species" in built.joint.components:
        truth["species"] = species.repeat(COUNT)
    space = (
        recipe("dao-g")
        .build({**config, "recipe": "dao-g", "state_space": {"name": "identity", "max_atoms": 20}})
        .state_space
    )
    model = GenerativeModel(space, built.joint, BlindOracle(built.joint, truth), config)
    return model, truth, {"species": species.repeat(COUNT)}


def known(count=HOST):
    return (torch.arange(SIZE) < count).repeat(COUNT)


def everything():
    return torch.ones(COUNT, dtype=torch.bool)


def sample(model, context, conditions, solver=None, plan=None, on_step=None):
    context = {} if "species" in model.joint.components else context
    plan = UniformPlan(20) if plan is None else plan
    streams = Streams(7, tuple(range(COUNT)))
    return loop.run(
        model,
        Layout((SIZE,) * COUNT),
        context,
        solver or PredictorCorrector({}),
        plan,
        streams,
        conditions,
        on_step,
    )


def misplaced(batch, truth):
    """Largest distance of an atom from its place, fractional."""
    return float(shortest_image(batch.frac_coords - truth["frac_coords"]).abs().max())


SOLVERS = {
    "ancestral": PredictorCorrector({}),
    "corrector": PredictorCorrector({"frac_coords": 1e-5}),
    "euler": Ode(1),
    "heun": Ode(2),
    "hurried": Ode(2, {"frac_coords": 4.0}),
}
PLANS = {"straight": UniformPlan(20), "jumps": RepaintPlan(20, None, 5, 2)}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("family", "solver"),
    [*(("diffusion", s) for s in SOLVERS), *(("flow", s) for s in ("euler", "heun", "hurried"))],
)
@pytest.mark.parametrize("hosts", [1, HOST])
def test_guests_find_their_places_beside_the_host(crystals, family, solver, plan, hosts):
    model, truth, context = setup(crystals, family)
    cell = KnownRows("lattice", truth["lattice"], everything())
    host = KnownPositions("frac_coords", truth["frac_coords"], known(hosts))
    batch = sample(model, context, [cell, host], SOLVERS[solver], PLANS[plan])
    assert torch.equal(batch.frac_coords[known(hosts)], truth["frac_coords"][known(hosts)])
    assert torch.equal(
        batch.lattice, model.joint.components["lattice"].representation.decode(truth["lattice"])
    )
    assert misplaced(batch, truth) < 2e-3


@pytest.mark.parametrize("family", ["diffusion", "flow"])
def test_without_alignment_guests_drift_against_the_host(crystals, family):
    model, truth, context = setup(crystals, family)
    solver = Ode(1) if family == "flow" else PredictorCorrector({})
    rows = sample(model, context, [KnownRows("frac_coords", truth["frac_coords"], known())], solver)
    aligned = sample(
        model, context, [KnownPositions("frac_coords", truth["frac_coords"], known())], solver
    )
    assert misplaced(rows, truth) > 0.004
    assert misplaced(rows, truth) > 4 * misplaced(aligned, truth)


def test_nothing_known_changes_nothing_and_everything_known_is_returned(crystals):
    model, truth, context = setup(crystals, "diffusion")
    plain = sample(model, context, [])
    empty = torch.zeros(SIZE * COUNT, dtype=torch.bool)
    none = sample(model, context, [KnownRows("frac_coords", truth["frac_coords"], empty)])
    assert torch.equal(none.frac_coords, plain.frac_coords)
    other = {"frac_coords": torch.rand(SIZE * COUNT, 3, generator=torch.Generator().manual_seed(9))}
    species = torch.randint(1, 90, (SIZE * COUNT,), generator=torch.Generator().manual_seed(9))
    held = [
        KnownPositions("frac_coords", other["frac_coords"], ~empty),
        KnownRows("species", species, ~empty),
    ]
    batch = sample(model, context, held)
    assert torch.equal(batch.frac_coords, other["frac_coords"])
    assert torch.equal(batch.species, species)


def test_known_rows_are_noised_to_the_level_of_each_step(crystals):
    """At every time the held rows follow q(x_t | x_0), whatever the network says: mean, deviation
    and survival.
    """
    model, truth, context = setup(crystals, "diffusion")
    other = torch.full_like(truth["lattice"], 1.5)
    species = torch.full((SIZE * COUNT,), 50)
    held = [
        KnownRows("lattice", other, everything()),
        KnownPositions("frac_coords", truth["frac_coords"], known(SIZE)),
        KnownRows("species", species, known(SIZE)),
    ]
    seen = {}
    sample(
        model,
        context,
        held,
        plan=UniformPlan(99),
        on_step=lambda t, state: seen.update({round(t, 3): state}),
    )
    for t, state in ((t, seen[t]) for t in (0.7, 0.5, 0.3, 0.1)):
        at = torch.tensor([t])
        signal, noise = model.joint.components["lattice"].process.schedule.scales(at)
        rows = state["lattice"].numel()
        assert float(state["lattice"].mean()) == pytest.approx(
            1.5 * float(signal), abs=4 * float(noise) / rows**0.5
        )
        assert float(state["lattice"].std()) == pytest.approx(
            float(noise), rel=4 / (2 * rows) ** 0.5
        )
        sigma = float(model.joint.components["frac_coords"].process.schedule.sigma(at))
        away = shortest_image(state["frac_coords"] - truth["frac_coords"])
        assert float(away.std()) == pytest.approx(
            sigma, rel=4 / (2 * away.numel()) ** 0.5 + 0.02
        ), t
        kept = float(model.joint.components["species"].process.schedule.survival(at))
        stay = float((state["species"] == 50).double().mean())
        assert stay == pytest.approx(kept, abs=4 * (kept * (1 - kept) / len(species)) ** 0.5 + 0.02)


def test_known_rows_of_a_flow_keep_their_draw_of_the_prior(crystals):
    model, truth, context = setup(crystals, "flow")
    held = [KnownPositions("frac_coords", truth["frac_coords"], known())]
    ends = []

    def end(t, state):
        if t > 0:
            way = shortest_image(state["frac_coords"] - truth["frac_coords"])[known()]
            ends.append(wrap(truth["frac_coords"][known()] + way / t))

    sample(model, context, held, Ode(2), on_step=end)
    assert float(shortest_image(torch.stack(ends) - ends[0]).abs().max()) < 1e-3


@pytest.mark.parametrize(("until", "free"), [(0.0, False), (0.5, True)])
def test_rows_are_let_go_when_asked(crystals, until, free):
    model, truth, context = setup(crystals, "diffusion")
    other = truth["lattice"] + 0.5
    seen = {}
    condition = KnownRows("lattice", other, everything(), until)
    sample(model, context, [condition], on_step=lambda t, state: seen.update({t: state["lattice"]}))
    wanted = truth["lattice"] if free else other
    assert float((seen[0.0] - wanted).abs().max()) < 1e-4


def test_shift_of_few_known_atoms_is_their_mean_displacement():
    layout = Layout((2, 2, 3))
    clean = torch.rand(7, 3, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([[0.1, -0.2, 0.3], [0.45, 0.0, -0.45], [0.2, 0.2, 0.2]])
    is_known = torch.tensor([True, False, True, True, False, False, False])
    found = KnownPositions("frac_coords", clean, is_known)._shift(
        wrap(clean + layout.broadcast(shift, "atom")), layout
    )
    assert torch.allclose(found[:2], shift[:2], atol=1e-6)
    assert torch.equal(found[2], torch.zeros(3))
