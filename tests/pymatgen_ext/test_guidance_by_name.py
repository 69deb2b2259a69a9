"""Guidance on the noisy state through the public door, with untrained weights: plumbing, costs,
refusals.
"""

import json
import pickle

import pytest
import torch
from monty.json import MontyDecoder, MontyEncoder
from toys import TINY, write_weights

from ase_crysdiff import registry
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.errors import CheckpointError, IncompatibleError
from ase_crysdiff.models import weights
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.recipes import dao_p_noisy
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential
from calculators import DAOPCalculator
from pymatgen_ext import EnergyGuidance, StructureSampler

SALT = {"composition": "NaCl", "formula_units": 2}


@pytest.fixture(scope="module")
def csp(csp_weights, tmp_path_factory):
    """A sampler, and weights that know an energy of its noisy states."""
    recipe, folder = csp_weights
    sets = Configurations.from_crystals(from_structures(rattled(60)))
    found = PairPotential().evaluate(sets.to(dtype=torch.float64))
    labels = Labels(
        sets,
        found.energy.double(),
        found.forces.float(),
        found.stress.float(),
        torch.zeros(60, dtype=torch.long),
    )
    config = dao_p_noisy.RECIPE.configure(labels)
    noise = dao_p_noisy.noise_of(weights.read_card(folder).config)
    config |= noise | {
        "encoder": TINY,
        "loss_weights": config["loss_weights"] | noise["loss_weights"],
    }
    place = tmp_path_factory.mktemp("noisy")
    write_weights("dao-p-noisy", config, place / "dao-p-noisy", {})
    registry.register(
        registry.SAMPLERS, "toy-noisy", lambda weights, device: load_sampler(recipe, folder, device)
    )
    patch = pytest.MonkeyPatch()
    patch.setenv("CRYSDIFF_WEIGHTS", str(place))
    yield StructureSampler("toy-noisy", device="cpu")
    patch.undo()
    registry.unregister(registry.SAMPLERS, "toy-noisy")


def draw(sampler, guidance, count=4, **constraints):
    conditions = () if guidance is None else [guidance]
    return sampler.sample(
        count,
        conditions=conditions,
        **{"seed": 0, "redraws": 30, "progress": False} | SALT | constraints,
    )


def test_scale_zero_is_exactly_unguided_and_costs_nothing(csp):
    guided = draw(csp, EnergyGuidance("dao-p-noisy", guidance_scale=0))
    assert list(guided) == list(draw(csp, None))
    assert not guided.report.guidance


def test_guidance_moves_the_draws_and_reports_its_cost(csp):
    guided = draw(csp, EnergyGuidance("dao-p-noisy", guidance_scale=50.0))
    assert list(guided) != list(draw(csp, None))
    report = guided.report.guidance
    assert report["potential evaluations"] > 0
    assert report["potential seconds"] > 0
    assert not [name for name in report if name.startswith("unguided")]


def test_nothing_happens_outside_the_window(csp):
    guided = draw(csp, EnergyGuidance("dao-p-noisy", 50.0, window=(0.995, 1.0)))
    assert list(guided) == list(draw(csp, None))


def test_batches_change_nothing(csp):
    guidance = EnergyGuidance("dao-p-noisy", 50.0)
    one = draw(csp, guidance)
    assert list(one) == list(draw(csp, guidance, batch_size=3))
    assert list(one) != list(draw(csp, guidance, seed=1))


def test_elements_that_the_model_does_not_know_are_counted(csp, monkeypatch):
    guidance = EnergyGuidance("dao-p-noisy", 50.0)
    object.__setattr__(guidance._loaded(), "elements", frozenset({8}))
    guided = draw(csp, guidance)
    assert list(guided) == list(draw(csp, None))
    assert any("does not know" in name for name in guided.report.guidance)


def test_samplers_that_generate_species_are_refused(csp, toy_miad):
    with pytest.raises(IncompatibleError, match="generates species"):
        StructureSampler("miad", weights=str(toy_miad), device="cpu").sample(
            1, conditions=[EnergyGuidance("dao-p-noisy")], seed=0, progress=False
        )


def test_names_survive_storage(csp):
    guidance = EnergyGuidance("dao-p-noisy", 2, window=(0.1, 0.5), max_shift=0.02)
    again = json.loads(json.dumps(guidance, cls=MontyEncoder), cls=MontyDecoder)
    assert (again.potential, again.guidance_scale, again.window, again.max_shift) == (
        "dao-p-noisy",
        2.0,
        (0.1, 0.5),
        0.02,
    )
    assert pickle.loads(pickle.dumps(guidance)).potential == "dao-p-noisy"  # noqa: S301


def test_it_is_no_potential_for_simulations(csp, tmp_path, monkeypatch):
    with pytest.raises(IncompatibleError, match="It is no potential"):
        DAOPCalculator("dao-p-noisy")
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(tmp_path))
    if not (weights.resources.files("ase_crysdiff") / "weights" / "dao-p-noisy").is_dir():
        with pytest.raises(CheckpointError, match="crysdiff train"):
            draw(csp, EnergyGuidance("dao-p-noisy"))
