"""The weights that ship: are they what their cards say, and do they give crystals?"""

import re
from importlib import resources
from pathlib import Path

import pytest

from ase_crysdiff import registry
from ase_crysdiff.models import weights
from ase_crysdiff.models.generative import load
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.predictors import loading as predictors
from ase_crysdiff.recipes import dao_p_noisy
from pymatgen_ext import StructureSampler, available_samplers, evaluate

SHIPPED = Path(str(resources.files("ase_crysdiff"))) / "weights"
FOLDERS = sorted(p.name for p in SHIPPED.iterdir() if p.is_dir())
KINDS = {name: weights.read_card(SHIPPED / name).config.get("kind", "sampler") for name in FOLDERS}
POTENTIALS = [name for name, kind in KINDS.items() if kind == "potential"]
GUIDES = [name for name, kind in KINDS.items() if kind == "noisy energy"]
PREDICTORS = [name for name, kind in KINDS.items() if kind == predictors.KIND]
ENCODERS = [name for name, kind in KINDS.items() if kind == "backbone"]
NAMES = [name for name, kind in KINDS.items() if kind == "sampler"]


def test_every_weight_is_registered():
    assert {"miad", "dao-g-perov5"} <= set(NAMES)
    assert set(NAMES) <= set(available_samplers())
    assert set(POTENTIALS) <= set(registry.names(registry.POTENTIALS))
    assert set(PREDICTORS) == set(registry.names(registry.PREDICTORS))
    assert len(FOLDERS) == len(NAMES) + len(POTENTIALS) + len(GUIDES) + len(PREDICTORS) + len(
        ENCODERS
    )


def test_weights_fit_the_limit():
    assert sum(p.stat().st_size for p in SHIPPED.rglob("*.safetensors")) < 32 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_card_is_complete(name):
    model, card = load(weights.find(name))
    assert card.name == name
    assert {"data", "hardware", "steps", "hours", "parameters", "command"} <= set(card.training)
    assert card.training["parameters"] == model.denoiser.num_parameters
    assert card.measured["command"]
    assert card.measured["results"]
    assert "CC BY" in card.licence or "MIT" in card.licence
    assert len(card.elements) > 20
    assert card.config["encoder"]["hidden"] % 32 == 0, "reproducible sampling needs full registers"


@pytest.mark.parametrize("name", POTENTIALS)
def test_card_of_a_potential_is_complete(name):
    potential, card = load_potential(name), weights.read_card(SHIPPED / name)
    assert card.name == potential.name == name
    assert {"data", "hardware", "steps", "hours", "parameters", "command"} <= set(card.training)
    assert card.training["parameters"] == sum(p.numel() for p in potential.network.parameters())
    assert card.measured["command"]
    assert card.measured["results"]
    assert "CC BY" in card.licence or "MIT" in card.licence
    assert potential.elements == set(card.elements)
    assert len(card.elements) > 80


@pytest.mark.parametrize("name", GUIDES)
def test_card_of_an_energy_of_noisy_states_is_complete(name):
    """It says what it was trained on, and has the noise of a sampler that ships."""
    model, card = load(weights.find(name))
    assert card.name == name
    assert {"data", "hardware", "steps", "hours", "parameters", "command"} <= set(card.training)
    assert card.training["parameters"] == model.denoiser.num_parameters
    assert card.measured["command"]
    assert card.measured["results"]
    noises = [
        dao_p_noisy.noise_of(weights.read_card(SHIPPED / n).config) for n in NAMES if n != "miad"
    ]
    assert any(all(card.config[k] == noise[k] for k in ("family", "lattice")) for noise in noises)


@pytest.mark.parametrize("name", PREDICTORS)
def test_card_of_a_predictor_is_complete(name):
    """Its error was measured with the weights that ship, also where these are a potential's."""
    predictor = predictors.load_predictor(name)
    assert predictor.card.name == name
    assert "data" in predictor.card.training
    assert predictor.card.measured["command"]
    assert predictor.card.measured["results"]
    assert "CC BY" in predictor.card.licence or "MIT" in predictor.card.licence
    assert len(predictor.elements) > 60


@pytest.mark.slow
def test_miad_draws_crystals_worth_having():
    """A floor far below the card's numbers: it falls if weights, schedules or the loop break."""
    samples = StructureSampler("miad").sample(48, seed=11, redraws=0, progress=False)
    drawn = {s.properties["crysdiff_index"]: s for s in samples}
    results = evaluate([drawn.get(i) for i in range(48)])
    assert results["structural_validity"].value > 0.7
    assert results["distance_validity"].value > 0.35
    assert results["compositional_validity"].value > 0.4
    assert results["uniqueness"].value > 0.7
    assert len({len(s) for s in samples}) > 5


@pytest.mark.slow
def test_perovskites_have_the_composition_and_a_plausible_volume():
    samples = StructureSampler("dao-g-perov5").sample(
        6, composition="SrTiO3", seed=0, progress=False
    )
    assert len(samples) == 6
    assert all(s.composition.reduced_formula == "SrTiO3" for s in samples)
    assert all(45 < s.volume < 100 for s in samples)  # 59.5 Å³ in the crystal


def test_cards_speak_of_no_machine():
    for path in SHIPPED.rglob("card.json"):
        assert not re.search(r"/(root|home|work|tmp)/", path.read_text())
