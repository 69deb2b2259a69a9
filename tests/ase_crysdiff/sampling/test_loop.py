import numpy as np
import pytest
import torch
from toys import TINY

from ase_crysdiff.conditions.inpainting import KnownRows
from ase_crysdiff.conditions.species import AllowedSpecies, RequiredSpecies
from ase_crysdiff.conditions.temperature import Temperature
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling import loop
from ase_crysdiff.sampling.solvers.predictor_corrector import PredictorCorrector
from ase_crysdiff.schedules.plans import UniformPlan
from ase_crysdiff.testing.crystals import random_batch

SIZE = 5


class Fixed:
    """Random numbers that were drawn before, turned or permuted by the test."""

    def __init__(self, normal, uniform):
        self._normal, self._uniform = normal, uniform

    def normal(self, width):
        return self._normal[:, :width]

    def uniform(self, width):
        return self._uniform[:, :width]


def model(crystals, name="miad", lattice="matrix"):
    config = dict(recipe(name).configure(crystals))
    config |= {
        "encoder": TINY,
        "lattice": {"name": "matrix"} if lattice == "matrix" else config["lattice"],
    }
    torch.random.default_generator.manual_seed(5)
    built = recipe(name).build(config)
    built.denoiser.double()
    return built


def noise(generator):
    def table(rows):
        return (
            torch.randn(rows, 9, generator=generator, dtype=torch.float64),
            torch.rand(rows, 9, generator=generator, dtype=torch.float64),
        )

    return {
        "lattice": table(1),
        "frac_coords": table(SIZE),
        "correct frac_coords": table(SIZE),
        "species": table(SIZE),
    }


def step(built, state, tables, t=0.4, s=0.39):
    layout = Layout((SIZE,), dtype=torch.float64)

    def denoise(state, t):
        with torch.no_grad():
            return built.denoiser(state, torch.full((1,), t, dtype=torch.float64), {}, layout)

    solver = PredictorCorrector({"frac_coords": 1e-5})
    return solver.step(
        denoise, built.joint, state, t, s, layout, lambda name, level: Fixed(*tables[name])
    )


@pytest.fixture
def start(generator):
    batch = random_batch([SIZE], generator).to(dtype=torch.float64)
    return {
        "lattice": batch.lattice.flatten(1),
        "frac_coords": batch.frac_coords,
        "species": batch.species,
    }


@pytest.mark.parametrize("handedness", [1, -1])
def test_step_turns_with_the_crystal(crystals, start, generator, handedness):
    built, tables = model(crystals), noise(generator)
    q = handedness * torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q

    def turn(rows):
        return (rows.unflatten(1, (3, 3)) @ q).flatten(1)

    plain = step(built, start, tables)
    turned_tables = {**tables, "lattice": (turn(tables["lattice"][0]), tables["lattice"][1])}
    turned = step(built, {**start, "lattice": turn(start["lattice"])}, turned_tables)
    np.testing.assert_allclose(turned["lattice"], turn(plain["lattice"]), atol=1e-9)
    np.testing.assert_allclose(
        shortest_image(turned["frac_coords"] - plain["frac_coords"]), 0, atol=1e-9
    )
    assert torch.equal(turned["species"], plain["species"])


def test_step_moves_with_a_common_shift(crystals, start, generator):
    built, tables = model(crystals), noise(generator)
    shift = torch.rand(1, 3, generator=generator, dtype=torch.float64)
    plain = step(built, start, tables)
    moved = step(built, {**start, "frac_coords": (start["frac_coords"] + shift) % 1}, tables)
    np.testing.assert_allclose(
        shortest_image(moved["frac_coords"] - plain["frac_coords"] - shift), 0, atol=1e-9
    )
    np.testing.assert_allclose(moved["lattice"], plain["lattice"], atol=1e-9)


def test_step_permutes_with_the_atoms(crystals, start, generator):
    built, tables = model(crystals), noise(generator)
    order = torch.randperm(SIZE, generator=generator)
    plain = step(built, start, tables)
    swapped = {n: tuple(x[order] for x in v) if len(v[0]) == SIZE else v for n, v in tables.items()}
    moved = step(
        built,
        {**start, "frac_coords": start["frac_coords"][order], "species": start["species"][order]},
        swapped,
    )
    np.testing.assert_allclose(
        shortest_image(moved["frac_coords"] - plain["frac_coords"][order]), 0, atol=1e-9
    )
    assert torch.equal(moved["species"], plain["species"][order])
    np.testing.assert_allclose(moved["lattice"], plain["lattice"], atol=1e-9)


def run(built, conditions=(), count=3, plan=None, on_step=None):
    built.denoiser.float()
    layout = Layout((SIZE,) * count)
    plan = UniformPlan(8) if plan is None else plan
    return loop.run(
        built,
        layout,
        {},
        PredictorCorrector({}),
        plan,
        Streams(0, tuple(range(count))),
        conditions,
        on_step,
    )


def test_loop_visits_the_plan_and_may_go_up_again(crystals):
    seen = []
    plan = [(0.9, 0.5), (0.5, 0.7), (0.7, 0.3), (0.3, 0.0)]
    batch = run(
        model(crystals, lattice="polar"), plan=plan, on_step=lambda t, state: seen.append(t)
    )
    assert seen == [0.5, 0.7, 0.3, 0.0]
    assert len(batch) == 3
    assert torch.isfinite(batch.lattice).all()


def test_neutral_conditions_change_nothing(crystals):
    built = model(crystals, lattice="polar")
    plain = run(built)
    everything = torch.ones(3 * SIZE, 100, dtype=torch.bool)
    for condition in (Temperature(1.0), AllowedSpecies(everything), RequiredSpecies(())):
        same = run(built, [condition])
        assert torch.equal(same.species, plain.species)
        np.testing.assert_allclose(same.lattice, plain.lattice, rtol=1e-5)


def test_known_rows_are_exact_at_the_end(crystals, generator):
    built = model(crystals, lattice="polar")
    clean = torch.randn(3, 6, generator=generator)
    batch = run(built, [KnownRows("lattice", clean, torch.ones(3, dtype=torch.bool))])
    np.testing.assert_allclose(
        batch.lattice, built.joint.components["lattice"].representation.decode(clean), rtol=1e-5
    )


def bayes(probabilities, required, generator, rng=200_000):
    """Frequencies among independent draws in which every required class occurs: the oracle for
    RequiredSpecies.
    """
    picks = torch.stack(
        [torch.multinomial(p, rng, replacement=True, generator=generator) for p in probabilities],
        1,
    )
    kept = picks[torch.stack([(picks == r).any(1) for r in required]).all(0)]
    return torch.stack([(kept == c).double().mean(0) for c in range(probabilities.shape[1])], 1)


def test_required_species_follow_bayes(generator):
    p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.9, 0.05, 0.05]]).double()
    layout = Layout((3,), dtype=torch.float64)
    shifted = RequiredSpecies((1,)).estimate(p.log(), 0.5, layout).softmax(-1)
    np.testing.assert_allclose(shifted, bayes(p, (1,), generator), atol=0.01)
    certain = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.1, 0.4], [0.9, 0.05, 0.05]]).double()
    shifted = RequiredSpecies((1,)).estimate(certain.log(), 0.5, layout)
    np.testing.assert_allclose(shifted.softmax(-1), certain, atol=1e-6)


def test_temperature_sharpens(generator):
    logits = torch.randn(4, 6, generator=generator)
    sharp = Temperature(0.5).estimate(logits, 0.5, Layout((4,)))
    np.testing.assert_allclose(
        sharp.softmax(-1),
        logits.softmax(-1) ** 2 / (logits.softmax(-1) ** 2).sum(-1, keepdim=True),
        rtol=1e-5,
    )
