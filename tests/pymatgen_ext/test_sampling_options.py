"""What a card may ask of its sampler, through the public door."""

import pytest
from toys import tiny_config, write_weights

from ase_crysdiff import registry
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
