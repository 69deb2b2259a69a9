"""The time-aware energy model: labels at fixed composition, the loss, the loop, weights that guide,
and refusals.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk
from lightning.fabric import Fabric
from pymatgen.io.ase import AseAtomsAdaptor
from safetensors.torch import load_file

from ase_crysdiff.campaigns.benchmark import noisy_energy
from ase_crysdiff.campaigns.benchmark.noisy_energy import by_time
from ase_crysdiff.cli.main import main
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.energy_crystals import (
    ABOVE_LOWEST,
    EnergyBatch,
    EnergyCrystals,
    energy_crystals,
)
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.geometry.lattice import gram
from ase_crysdiff.models import weights
from ase_crysdiff.models.generative import GenerativeModel, load
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.recipes.dao_p_noisy import RECIPE
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.testing.pair_potential import PairPotential
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.noisy_energy import NoisyEnergyObjective, noisy_energy_task
from ase_crysdiff.training.settings import TrainSettings

TINY = {"hidden": 32, "layers": 1, "frequencies": 16}


def copies():
    """Rock salts, rattled by 0.02 to 0.2 Å, and a crystal that has no second one of its
    composition.
    """
    generator = np.random.default_rng(0)
    structures = []
    for name, edge in (("NaCl", 5.64), ("MgO", 4.21), ("KCl", 6.29)):
        for k in range(16):
            structure = AseAtomsAdaptor.get_structure(
                bulk(name, "rocksalt", edge, cubic=k % 4 == 0)
            )
            for i in range(len(structure)):
                shift = (0.02 + 0.18 * k / 15) * generator.normal(size=3)
                structure.translate_sites([i], shift, frac_coords=False)
            structures.append(structure)
    structures.append(AseAtomsAdaptor.get_structure(bulk("Cu")))
    return structures


@pytest.fixture(scope="module")
def labels():
    sets = Configurations.from_crystals(from_structures(copies()))
    found = PairPotential().evaluate(sets.to(dtype=torch.float64))
    kind = torch.zeros(len(sets), dtype=torch.long)
    return Labels(sets, found.energy.double(), found.forces.float(), found.stress.float(), kind)


def config_of(labels, family="diffusion", **changes):
    config = RECIPE.configure(labels) | {"family": family} | changes
    return config | {"encoder": {"name": "cspnet", **TINY}} if "encoder" not in changes else config


def model_of(config):
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return RECIPE.build(config)


def trainer(labels, folder, config=None, **settings):
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    knobs = {
        "steps": 12,
        "batch_size": 8,
        "warmup": 2,
        "checkpoint_every": 5,
        "log_every": 5,
        "validate_every": 10,
    } | settings
    course = TrainSettings(**knobs)
    model = model_of(config or config_of(labels))
    task = noisy_energy_task(model, labels, course, fabric.device, labels)
    return Loop(task, folder, course, fabric)


def test_energies_count_from_the_lowest_of_the_reduced_composition(labels):
    """Cubic cells (8 atoms) and primitive ones (2) are one composition; a composition with one
    label is left out.
    """
    packed = energy_crystals(labels, 100.0)
    above = packed.values[ABOVE_LOWEST]
    assert len(packed) == 48
    per_atom = (labels.energy / labels.configurations.num_atoms)[:48].view(3, 16)
    expected = (per_atom - per_atom.amin(1, keepdim=True)).flatten()
    torch.testing.assert_close(above, expected.float())
    assert (above == 0).sum() == 3
    few = energy_crystals(labels, float(expected.median()))
    assert len(few) == 24
    assert few.values[ABOVE_LOWEST].max() <= expected.median()


def test_cells_are_turned_but_not_changed(labels):
    packed = energy_crystals(labels, 100.0)
    given = labels.configurations.select(list(range(48)))
    torch.testing.assert_close(gram(packed.batch.lattice), gram(given.cells), rtol=1e-4, atol=1e-3)
    again = (packed.batch.frac_coords.unsqueeze(1) @ given.cells[given.index]).squeeze(1)
    torch.testing.assert_close(again, given.positions, rtol=1e-4, atol=1e-4)
    assert torch.equal(
        packed.batch.lattice[:, 2, :2], torch.zeros(48, 2)
    )  # c along z, as in the samplers' data


def test_every_batch_carries_its_own_energies(labels):
    model = model_of(config_of(labels))
    data = EnergyCrystals(labels, 100.0, model.state_space, 6, 10_000, torch.device("cpu"))
    assert (len(data), data.left_out) == (48, 1)
    packed = energy_crystals(labels, 100.0)
    known = {
        round(float(p.frac_coords.square().sum()), 4): float(e)
        for p, e in zip(packed.batch.split(), packed.values[ABOVE_LOWEST], strict=True)
    }
    for batches in (data.everything(), data.epoch(0, 0)):
        for batch in batches:
            for crystal, energy in zip(batch.crystals.split(), batch.energy, strict=True):
                assert known[round(float(crystal.frac_coords.square().sum()), 4)] == pytest.approx(
                    float(energy), abs=1e-6
                )


class Oracle:
    """Predicts a number for the energy and zeros for everything else, and keeps what it was
    shown.
    """

    def __init__(self, joint, energy):
        self.joint, self.energy, self.seen = joint, energy, []

    def __call__(self, state, t, context, layout):
        self.seen.append((state, t))
        zeros = {
            n: torch.zeros(len(x), self.joint.components[n].process.width) for n, x in state.items()
        }
        return {**zeros, "energy": self.energy.expand(layout.num_crystals)}


@pytest.mark.parametrize("family", ["diffusion", "flow"])
def test_a_tenth_of_the_crystals_is_shown_as_it_is(labels, family, generator):
    model = model_of(config_of(labels, family))
    packed = energy_crystals(labels, 100.0)
    one = packed.batch.select([1])
    batch = EnergyBatch(packed.batch.select([1] * 400), torch.zeros(400))
    oracle = Oracle(model.joint, torch.tensor(0.0))
    total, parts = NoisyEnergyObjective(model).loss(oracle, batch, generator)
    (state, t), clean = oracle.seen[0], model.joint.encode(one)
    still = t == 0
    assert 15 < int(still.sum()) < 70
    for i in torch.nonzero(still).flatten().tolist():
        torch.testing.assert_close(state["lattice"][i], clean["lattice"][0])
        assert torch.equal(state["frac_coords"][2 * i : 2 * i + 2], clean["frac_coords"])
    assert t[~still].min() >= 0.001
    assert all(torch.isfinite(x) for x in (total, *parts.values()))


def test_the_loss_of_a_constant_is_lowest_at_the_intermediate_energy(labels, generator):
    """For a state that tells nothing: E_t = -ln mean exp(-E_0/std) times std, whatever the
    noise.
    """
    model = model_of(config_of(labels))
    packed = energy_crystals(labels, 100.0)
    energies = torch.tensor([0.0, 0.05, 0.2, 0.6]).repeat(25)
    batch = EnergyBatch(packed.batch.select([1] * 100), energies)
    std = model.config["energy"]["std"]
    constant = torch.tensor(0.1, requires_grad=True)
    for _ in range(150):
        total, _ = NoisyEnergyObjective(model).loss(Oracle(model.joint, constant), batch, generator)
        (slope,) = torch.autograd.grad(total, constant)
        constant = (constant - 0.04 * std**2 * slope).detach().requires_grad_()
    expected = -std * torch.log(torch.exp(-energies / std).mean())
    assert float(constant.detach()) == pytest.approx(float(expected), abs=1e-3)


@pytest.mark.parametrize("encoder", ["cspnet", "crysformer"])
@pytest.mark.parametrize("family", ["diffusion", "flow"])
def test_energies_have_the_symmetries_of_the_crystal(labels, family, encoder, generator):
    arguments = (
        TINY if encoder == "cspnet" else {"hidden": 32, "layers": 1, "heads": 2, "frequencies": 8}
    )
    model = model_of(config_of(labels, family, encoder={"name": encoder, **arguments}))
    batch = energy_crystals(labels, 100.0).batch.select([1, 17, 33])
    state, context, t = (
        model.joint.encode(batch),
        {"species": batch.species},
        torch.tensor([0.0, 0.3, 1.0]),
    )
    energy = model.denoiser.energy(state, t, context, batch.layout)
    assert torch.equal(model.denoiser(state, t, context, batch.layout)["energy"], energy)
    moved = {**state, "frac_coords": state["frac_coords"] + torch.tensor([0.3, -1.2, 0.7])}
    torch.testing.assert_close(
        model.denoiser.energy(moved, t, context, batch.layout), energy, atol=1e-5, rtol=1e-5
    )
    swap = torch.tensor([1, 0, 3, 2, 5, 4])
    swapped = {**state, "frac_coords": state["frac_coords"][swap]}
    other = model.denoiser.energy(swapped, t, {"species": batch.species[swap]}, batch.layout)
    torch.testing.assert_close(other, energy, atol=1e-6, rtol=1e-5)


def test_training_finds_the_order_of_energies_and_forgets_it_with_time(labels, tmp_path):
    run = trainer(
        labels,
        tmp_path,
        steps=300,
        batch_size=24,
        learning_rate=5e-3,
        ema_decay=0.9,
        validate_every=50,
    )
    run.run(progress=False)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"lattice", "frac_coords", "energy", "error", "clamped"} <= set(records[0])
    values = [r["val_lattice"] for r in records if "val_lattice" in r]
    assert values[-1] < 0.7 * values[0]
    model = model_of(config_of(labels))
    with torch.no_grad():
        for name, parameter in model.denoiser.named_parameters():
            parameter.copy_(run.average.weights[name])
    still, middle, prior = by_time(model, labels, (0.0, 0.3, 1.0), 0)
    assert still["crystals"] == 48
    assert still["rank_correlation"] > 0.8
    assert still["mae"] < 0.6 * prior["mae"]
    assert still["rank_correlation"] > middle["rank_correlation"] > prior["rank_correlation"]
    assert still["spread"] > 0.4 > 0.2 > prior["spread"]


def test_order_within_compositions():
    found = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 7.0, 7.0])
    energy = torch.tensor([0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 9.0])
    group = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    assert noisy_energy._within(found[:4], energy[:4], group[:4]) == pytest.approx((1.0, 1.0))
    rank, spread = noisy_energy._within(found, energy, group)
    assert (rank, spread) == pytest.approx((0.0, 1.0))
    flat = noisy_energy._within(torch.ones(4), energy[:4], group[:4])
    assert flat == (0.0, 0.0)


def test_resumed_run_equals_uninterrupted_one(labels, tmp_path):
    trainer(labels, tmp_path / "whole").run(progress=False)
    first = trainer(labels, tmp_path / "parts")
    first.run(progress=False, stop=lambda progress: progress.step >= 7)
    second = trainer(labels, tmp_path / "parts")
    assert second.progress.step == 7
    second.run(progress=False)
    name = "step-000000012.safetensors"
    whole, parts = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
    assert set(whole) == set(parts)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_labels_without_comparisons_are_refused(labels):
    with pytest.raises(InputError, match="share a composition"):
        RECIPE.configure(labels.select(torch.tensor([0, 16, 32, 48])))


def command(labels, folder, *more):
    labels.save(folder / "l.safetensors")
    tiny = json.dumps({"encoder": TINY})
    return [
        "train",
        "dao-p-noisy",
        "--data",
        str(folder / "l.safetensors"),
        "-o",
        str(folder / "runs"),
        "--steps",
        "2",
        "--accelerator",
        "cpu",
        "--config",
        tiny,
        *more,
    ]


def test_command_line_trains_for_a_sampler_and_exports_weights_that_only_guide(
    labels, toy_csp, tmp_path, monkeypatch, capsys
):
    assert main(command(labels, tmp_path, "--sampler", str(toy_csp))) == 0
    assert "48 crystals (1 left out)" in capsys.readouterr().out
    target = tmp_path / "w" / "dao-p-noisy"
    assert (
        main(["export", "dao-p-noisy", str(tmp_path / "runs" / "dao-p-noisy"), "-o", str(target)])
        == 0
    )
    model, card = load(target)
    assert isinstance(model, GenerativeModel)
    assert card.sampling is None
    assert card.config["kind"] == RECIPE.kind
    assert card.config["lattice"] == weights.read_card(toy_csp).config["lattice"]
    assert card.config["energy"]["std"] > 0
    result = tmp_path / "result.json"
    words = ["--labels", str(tmp_path / "l.safetensors"), "--times", "0", "0.5", "-o", str(result)]
    assert main(["benchmark", "noisy-energy", "dao-p-noisy", "--weights", str(target), *words]) == 0
    assert [row["t"] for row in json.loads(result.read_text())["results"]] == [0.0, 0.5]
    assert (
        main(["benchmark", "noisy-energy", "dao-p-noisy", "--weights", str(toy_csp), *words]) == 1
    )
    assert "knows no energy of noisy states" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="nothing can be drawn"):
        load_sampler("dao-g", target)
    with pytest.raises(CheckpointError, match="which is no potential"):
        load_potential("dao-p", target)
    for place in (None, target.parent):
        if place is not None:
            monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(place))
        with pytest.raises(IncompatibleError, match=r"EnergyGuidance\('dao-p-noisy'\)"):
            load_potential("dao-p-noisy")


def test_sampler_option_is_for_guides_of_given_compositions(
    labels, toy_miad, toy_csp, tmp_path, capsys
):
    assert main(command(labels, tmp_path, "--sampler", str(toy_miad))) == 1
    assert "generates species" in capsys.readouterr().err
    words = [
        w if w != "dao-p-noisy" else "dao-p"
        for w in command(labels, tmp_path, "--sampler", str(toy_csp))
    ]
    assert main(words) == 1
    assert "guides nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_training_needs_no_ase_no_pymatgen_no_jaxtyping(labels, tmp_path):
    arguments = ["crysdiff", *command(labels, tmp_path)]
    block = (
        "import sys, runpy\n"
        "for name in ('ase', 'pymatgen', 'spglib', 'jaxtyping', 'smact', 'monty', 'pandas'): "
        "sys.modules[name] = None\n"
        f"sys.argv = {arguments!r}\n"
        "runpy.run_module('ase_crysdiff.cli', run_name='__main__')\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "step 2 of 2" in done.stdout
