"""What a card may ask of its sampler, through the public door."""

import pytest
from pymatgen.core import Lattice, Structure
from toys import tiny_config, write_weights

from ase_crysdiff import registry
from ase_crysdiff.conditions.closest_approach import ClosestApproach
from ase_crysdiff.sampling.loading import load_sampler
from pymatgen_ext import StructureSampler

STEERED = {
    "steps": 8,
    "species_temperature": 0.7,
    "excluded_classes": [0],
    "atom_count_prior": [0.0, 1.0, 0.5, 0.1, 2.0, 1.0, 0.3],
    "closest_approach": 0.8,
}


@pytest.fixture(scope="module")
def steered(crystals, tmp_path_factory):
    folder = write_weights(
        "miad", tiny_config("miad", crystals), tmp_path_factory.mktemp("w") / "miad", STEERED
    )
    return StructureSampler("miad", weights=str(folder), device="cpu")


@pytest.fixture(scope="module", params=["euler", "heun"])
def flow(request, crystals, tmp_path_factory):
    sampling = {
        "steps": 8,
        "solver": request.param,
        "start": 1.0,
        "velocity_annealing": {"frac_coords": 4.0},
    }
    sampling["closest_approach"] = 0.7
    folder = write_weights(
        "dao-g-flow",
        tiny_config("dao-g-flow", crystals),
        tmp_path_factory.mktemp("w") / "flow",
        sampling,
    )
    registry.register(
        registry.SAMPLERS,
        "toy-flow",
        lambda weights, device: load_sampler("dao-g-flow", folder, device),
    )
    yield request.param, StructureSampler("toy-flow", device="cpu")
    registry.unregister(registry.SAMPLERS, "toy-flow")


@pytest.fixture(scope="module")
def few_on_sites(crystals, tmp_path_factory):
    sampling = {"steps": 8, "symmetric_steps": 3, "solver": "euler", "start": 1.0}
    config = tiny_config("dao-g-flow", crystals)
    folder = write_weights("dao-g-flow", config, tmp_path_factory.mktemp("w") / "few", sampling)
    return StructureSampler("dao-g-flow", weights=str(folder), device="cpu")


def draw(sampler, count=5, **constraints):
    return sampler.sample(count, **{"seed": 3, "redraws": 30, "progress": False} | constraints)


def test_batches_change_nothing_under_every_option(steered, flow):
    assert list(draw(steered)) == list(draw(steered, batch_size=2))
    wanted = {"composition": "NaCl", "formula_units": (1, 2)}
    assert list(draw(flow[1], **wanted)) == list(draw(flow[1], **wanted, batch_size=2))


def test_a_wished_number_of_atoms_beats_the_odds_of_the_card(steered):
    assert {len(s) for s in draw(steered, num_atoms=5)} == {5}


def test_wishes_for_elements_hold_under_every_option(steered):
    for structure in draw(steered, 3, chemical_system="Na-Cl"):
        assert {e.symbol for e in structure.elements} == {"Na", "Cl"}


def test_flows_predict_structures_and_count_their_evaluations(flow):
    solver, sampler = flow
    samples = draw(sampler, composition="SrTiO3", formula_units=1)
    assert {s.composition.formula for s in samples} == {"Sr1 Ti1 O3"}
    assert samples.report.evaluations == (8 if solver == "euler" else 15)


def test_sites_take_the_steps_of_the_card_for_sites(few_on_sites):
    """Not where symmetry is open, nor where a condition acts at every step or steps are given."""
    wanted = {"composition": "SrTiO3", "formula_units": 1}
    on_sites = {**wanted, "space_group": 221}
    held = draw(few_on_sites, **on_sites)
    assert held.report.evaluations == 3
    assert list(held) == list(draw(few_on_sites, **on_sites, steps=3))
    assert draw(few_on_sites, **wanted).report.evaluations == 8
    assert draw(few_on_sites, **on_sites, steps=5).report.evaluations == 5
    idle = ClosestApproach(1e-3)
    conditioned = draw(few_on_sites, **on_sites, conditions=[idle])
    assert conditioned.report.evaluations == 8
    assert list(conditioned) == list(draw(few_on_sites, **on_sites, conditions=[idle], steps=8))


def test_guests_on_sites_take_the_steps_of_the_card_for_sites(few_on_sites):
    """But jumps need the levels of the whole plan."""
    cube = Structure(Lattice.cubic(3.9), ["Ti"], [[0, 0, 0]])
    asked = {"num_samples": 2, "seed": 0, "redraws": 60, "progress": False}

    def evaluations(**how):
        return few_on_sites.inpaint(cube, {"O": 3}, **asked, **how).report.evaluations

    assert evaluations(keep_symmetry=True) == 3
    assert evaluations(keep_symmetry=True, steps=5) == 5
    assert evaluations(keep_symmetry=True, repeats=2, jump_length=4) == 12
    assert evaluations() == 8
