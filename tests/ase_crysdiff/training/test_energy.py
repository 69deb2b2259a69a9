"""Training of potentials: labels, their corrections, the loop, and the way to weights that load."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file, save_file

from ase_crysdiff.cli.main import main
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data import label_packing
from ase_crysdiff.data.label_sources import LabelSource
from ase_crysdiff.data.labels import LabelBatches, Labels
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models import weights
from ase_crysdiff.networks.graph import Neighborhood
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.element_references import RIDGE, least_squares_references
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.recipes import dao_p
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential
from ase_crysdiff.training.energy import energy_task
from ase_crysdiff.training.export import export
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.run import launched, prepare
from ase_crysdiff.training.settings import TrainSettings

TINY = {"hidden": 16, "layers": 1, "heads": 2, "cutoff": 4.0, "waves": [6, 4, 2]}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An archive as the data pack has it: crystals as they are and moved copies, labelled with a
    pair potential.
    """
    path = tmp_path_factory.mktemp("labels") / "labels.npz"
    structures = rattled(60, deviation=0.03)
    batch = from_structures(structures)
    found = PairPotential().evaluate(Configurations.from_crystals(batch).to(dtype=torch.float64))
    numbers = batch.num_atoms.numpy()
    np.savez(
        path,
        material_id=np.array([f"mp-{i // 5}".encode() for i in range(60)]),
        kind=np.array([0, 1, 2, 4, 1] * 12, dtype=np.int8),
        num_atoms=numbers.astype(np.int16),
        lattice=batch.lattice.numpy(),
        energy_per_atom=(found.energy.numpy() / numbers).astype(np.float32),
        stress=found.stress.numpy().astype(np.float32),
        frac_coords=batch.frac_coords.numpy(),
        atomic_numbers=batch.species.numpy().astype(np.uint8),
        forces=found.forces.numpy().astype(np.float32),
    )
    return path


@pytest.fixture(scope="module")
def labels(archive):
    return label_packing.pack_labels([archive])[0]


def trainer(labels, folder, **settings):
    config = dao_p.RECIPE.configure(labels)
    config["encoder"] = config["encoder"] | TINY
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = dao_p.RECIPE.build(config)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    knobs = {
        "steps": 12,
        "batch_atoms": 40,
        "warmup": 2,
        "checkpoint_every": 5,
        "log_every": 5,
        "validate_every": 10,
    } | settings
    course = TrainSettings(**knobs)
    task = energy_task(network, config, labels, course, fabric.device, labels)
    return Loop(task, folder, course, fabric)


def test_labels_survive_the_file(labels, tmp_path):
    labels.save(tmp_path / "l.safetensors")
    again = Labels.load(tmp_path / "l.safetensors")
    for name in ("energy", "forces", "stress", "kind"):
        assert torch.equal(getattr(labels, name), getattr(again, name))
    assert torch.equal(labels.configurations.species, again.configurations.species)
    assert torch.equal(labels.configurations.positions, again.configurations.positions)
    some = again.select(torch.tensor([7, 2]))
    start = int(labels.configurations.num_atoms[:7].sum())
    count = int(labels.configurations.num_atoms[7])
    assert torch.equal(some.forces[:count], labels.forces[start : start + count])


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_other_files_are_no_labels(content, tmp_path):
    path = tmp_path / "x.safetensors"
    if content is None:
        save_file({"a": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"crysdiff pack LABELS\.npz"):
        Labels.load(path)


def test_corrections_shift_a_crystal_and_its_copies_as_one(archive, tmp_path):
    """Copies of one composition move together, an exchanged element and an unknown crystal stay."""
    table = tmp_path / "energies.csv"
    # Each group of five begins with the same prototype; two of three have a formation energy.
    rows = [(f"mp-{i}", -1.0 + 0.01 * i if i % 3 else "") for i in range(12)]
    table.write_text(
        "material_id,formation_energy_per_atom\n" + "\n".join(f"{i},{e}" for i, e in rows) + "\n"
    )
    plain, _ = label_packing.pack_labels([archive])
    references = dict.fromkeys(range(1, 100), 0.0)
    counts = plain.configurations.num_atoms
    first = (plain.energy / counts)[::5]
    references[29] = float(first.mean()) + 1.0
    fixed, report = label_packing.pack_labels([archive], table, references)
    shift = ((fixed.energy - plain.energy) / counts).view(12, 5)
    for i, row in enumerate(shift.tolist()):
        known = i % 3 != 0
        expected = references[29] + (-1.0 + 0.01 * i) - float(first[i]) if known else 0.0
        assert row[0] == pytest.approx(expected, abs=1e-5)
        assert row == pytest.approx([row[0], row[0], row[0], 0, row[0]], abs=1e-9)
    assert report["materials with energies"] == 8
    assert json.loads(fixed.metadata["references"])["29"] == pytest.approx(references[29], abs=1e-6)


def test_copies_in_another_archive_are_corrected_with_their_crystal(archive, tmp_path):
    table = tmp_path / "energies.csv"
    table.write_text(
        "material_id,formation_energy_per_atom\n" + "".join(f"mp-{i},-1.0\n" for i in range(12))
    )
    arrays = dict(np.load(archive))
    owner = np.repeat(np.arange(len(arrays["kind"])), arrays["num_atoms"])
    paths = [tmp_path / "crystals.npz", tmp_path / "copies.npz"]
    for path, chosen in zip(paths, (arrays["kind"] == 0, arrays["kind"] != 0), strict=True):
        rows = chosen[owner]
        np.savez(
            path, **{n: a[rows] if len(a) == len(owner) else a[chosen] for n, a in arrays.items()}
        )
    joined, report = label_packing.pack_labels(paths, table)
    whole, expected = label_packing.pack_labels([archive], table)
    order = torch.argsort(whole.kind != 0, stable=True)
    torch.testing.assert_close(joined.energy, whole.energy[order])
    assert torch.equal(joined.kind, whole.kind[order])
    assert report == pytest.approx(expected)


def test_references_are_found_again(generator):
    rng = np.random.default_rng(0)
    fractions = np.zeros((300, 100))
    fractions[:, [3, 8, 26, 57]] = rng.dirichlet(np.ones(4), 300)
    truth = np.zeros(100)
    truth[[3, 8, 26, 57]] = [-1.9, -4.9, -8.4, -4.8]
    energies = fractions @ truth + 0.01 * rng.normal(size=300)
    energies[:6] += 5  # mistaken rows must not count
    fitted = least_squares_references(fractions, energies, RIDGE, outliers=0.3)
    np.testing.assert_allclose(fitted[[3, 8, 26, 57]], truth[[3, 8, 26, 57]], atol=0.02)
    assert np.isnan(fitted[[1, 50]]).all()


@pytest.mark.parametrize("change", ["missing", "short"])
def test_damaged_archives_are_explained(change, archive, tmp_path):
    arrays = dict(np.load(archive))
    if change == "missing":
        del arrays["forces"]
    else:
        arrays["forces"] = arrays["forces"][:-1]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match="forces"):
        label_packing.pack_labels([tmp_path / "bad.npz"])


def test_an_epoch_holds_every_configuration_once(labels):
    batches = LabelBatches(labels, 30, Neighborhood(None, 4.0), torch.device("cpu"))
    found = list(batches.epoch(1, 0))
    energies = torch.cat([b.labels.energy for b in found])
    assert torch.equal(energies.sort().values, labels.energy.sort().values)
    assert max(len(b.graph.species) for b in found) <= 30
    again = torch.cat([b.labels.energy for b in batches.epoch(1, 0)])
    assert torch.equal(again, energies)
    assert not torch.equal(torch.cat([b.labels.energy for b in batches.epoch(1, 1)]), energies)
    shares = [torch.cat([b.labels.energy for b in batches.epoch(1, 0, rank, 2)]) for rank in (0, 1)]
    assert not set(shares[0].tolist()) & set(shares[1].tolist())


@pytest.fixture(scope="module")
def two_levels(archive, tmp_path_factory):
    """The archive as one level, and its crystals with energies alone, lower by 1 eV/atom, as the
    other; three materials are left out.
    """
    folder = tmp_path_factory.mktemp("levels")
    arrays = dict(np.load(archive))
    first = arrays["kind"] == 0
    atoms = np.repeat(first, arrays["num_atoms"])
    crystals = PackedCrystals(
        CrystalBatch(
            torch.from_numpy(arrays["lattice"][first]),
            torch.from_numpy(arrays["frac_coords"][atoms]),
            torch.from_numpy(arrays["atomic_numbers"][atoms]).long(),
            torch.from_numpy(arrays["num_atoms"][first]).long(),
        ),
        {"formation_energy_per_atom": torch.from_numpy(arrays["energy_per_atom"][first] - 1)},
        names=tuple(name.decode() for name in arrays["material_id"][first]),
    )
    crystals.save(folder / "crystals.safetensors")
    sources = [
        LabelSource(archive, "pair"),
        LabelSource(folder / "crystals.safetensors", "dft"),
    ]
    return label_packing.pack_labels(sources, leave_out=["mp-1", "mp-4", "mp-9"])


def test_levels_share_a_file(two_levels, archive, tmp_path):
    labels, report = two_levels
    assert report == {
        "pair configurations": 45,
        "pair left out": 15,
        "dft configurations": 9,
        "dft left out": 3,
    }
    labels.save(tmp_path / "l.safetensors")
    again = Labels.load(tmp_path / "l.safetensors")
    assert again.levels == ("pair", "dft")
    pair, dft = again.of_level("pair"), again.of_level("dft")
    assert (len(pair), len(dft)) == (45, 9)
    assert dft.forces.isnan().all()
    assert dft.stress.isnan().all()
    difference = (dft.energy - pair.energy[::5]) / dft.configurations.num_atoms
    assert difference.tolist() == pytest.approx([-1] * 9, abs=1e-5)
    with pytest.raises(InputError, match="no level 'other'"):
        again.of_level("other")


def test_shares_leave_others_out_in_every_epoch(two_levels):
    labels, _ = two_levels
    near = Neighborhood(None, 4.0)
    batches = LabelBatches(labels, 30, near, torch.device("cpu"), [0.5, 1.0])
    seen = [torch.cat([b.labels.level for b in batches.epoch(0, epoch)]) for epoch in range(40)]
    assert all(int((levels == 1).sum()) == 9 for levels in seen)
    assert np.mean([int((levels == 0).sum()) for levels in seen]) == pytest.approx(22.5, abs=2)
    first = torch.cat([b.labels.energy for b in batches.epoch(0, 3)])
    assert torch.equal(first, torch.cat([b.labels.energy for b in batches.epoch(0, 3)]))


def test_one_network_answers_for_two_levels_and_ships_one(two_levels, tmp_path):
    """Without forces of its own the second level learns its energies, and the first one ships."""
    labels, _ = two_levels
    loop = trainer(labels, tmp_path / "run", steps=60, learning_rate=1e-2, ema_decay=0.9)
    loop.run(progress=False)
    config = loop.task.config
    assert config["readouts"] == ["pair", "dft"]  # not in the order of the alphabet
    batch = next(iter(loop.task.data.everything()))
    network = loop.task.network
    shifted = torch.ones_like(batch.labels.level)
    one, other = (network.energies(batch.graph, level) for level in (shifted * 0, shifted))
    assert not torch.allclose(one, other)
    card = export(tmp_path / "run", tmp_path / "w", "dao-p")
    assert card.config["level"] == "pair"
    assert card.config["references"] == config["levels"]["pair"]["references"]
    assert "levels" not in card.config
    potential = load_potential("dao-p", tmp_path / "w")
    averaged = dao_p.RECIPE.build(config)
    averaged.load_state_dict(loop.average.weights, strict=False)
    with torch.no_grad():
        expected = averaged.energies(batch.graph, shifted * 0)
        found = potential.network.energies(batch.graph)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_what_another_level_alone_has_is_not_answered_for(two_levels, tmp_path):
    """Its readout was never taught what the element does."""
    labels, _ = two_levels
    species = labels.configurations.species.clone()
    species[(labels.level[labels.configurations.index] == 1) & (species == 29)] = 54
    strange = replace(labels, configurations=replace(labels.configurations, species=species))
    assert 54 in species
    trainer(strange, tmp_path / "run", steps=2).run(progress=False)
    card = export(tmp_path / "run", tmp_path / "w", "dao-p")
    pair = labels.of_level("pair").configurations.species
    assert card.config["elements"] == sorted(set(pair.tolist()))
    potential = load_potential("dao-p", tmp_path / "w")
    with pytest.raises(InputError, match="Xe"):
        potential.evaluate(strange.of_level("dft").configurations)


def test_more_labels_of_a_level_go_on_from_the_energies_that_were_taught(archive, tmp_path):
    """Labels of one crystal, of the level of the weights or of another one."""
    arrays = dict(np.load(archive))
    salt = np.array([set(part) == {11, 17} for part in np.split(
        arrays["atomic_numbers"], np.cumsum(arrays["num_atoms"])[:-1])])  # fmt: skip
    atoms = np.repeat(salt, arrays["num_atoms"])
    of_atoms = ("frac_coords", "atomic_numbers", "forces")
    few = {name: a[atoms if name in of_atoms else salt] for name, a in arrays.items()}
    np.savez(tmp_path / "few.npz", **few)
    everything = label_packing.pack_labels([LabelSource(archive, "pair")])[0]
    first = dao_p.RECIPE.configure(everything)
    assert first["level"] == "pair"
    same = label_packing.pack_labels([LabelSource(tmp_path / "few.npz", "pair")])[0]
    again = dao_p.RECIPE.of_data(first, same)
    assert again["elements"] == first["elements"]
    assert again["references"] == first["references"]
    other = label_packing.pack_labels([LabelSource(tmp_path / "few.npz", "dft")])[0]
    afresh = dao_p.RECIPE.of_data(first, other)
    assert afresh["elements"] == [11, 17]
    assert afresh["level"] == "dft"
    assert afresh["references"][11] != first["references"][11]


def test_weights_of_one_level_begin_a_training_with_two(labels, two_levels, tmp_path):
    """Each readout then says what the one said; references and elements are those of the labels."""
    trainer(labels, tmp_path / "one").run(progress=False)
    packed = tmp_path / "l.safetensors"
    two_levels[0].save(packed)
    loop = prepare(
        "dao-p",
        packed,
        tmp_path / "two",
        TrainSettings(steps=2, batch_atoms=40),
        launched("cpu"),
        {"shares": {"dft": 0.5}, "encoder": {"reach": 1.6}},
        origin=tmp_path / "one",
    )
    assert loop.task.config["shares"] == {"pair": 1.0, "dft": 0.5}
    hidden, out = loop.task.network.hidden.weight, loop.task.network.out.weight
    assert torch.equal(hidden[:16], hidden[16:])
    assert torch.equal(out[0], out[1])
    loop.run(progress=False)
    with pytest.raises(InputError, match="levels of theory are"):
        energy_task(
            loop.task.network,
            {
                **loop.task.config,
                "levels": {"other": loop.task.config["levels"]["pair"]},
                "readouts": ["other"],
            },
            two_levels[0],
            TrainSettings(),
            torch.device("cpu"),
        )


def test_training_lowers_every_error(labels, tmp_path):
    run = trainer(labels, tmp_path, steps=240, learning_rate=1e-2, ema_decay=0.9, validate_every=20)
    run.run(progress=False)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    first, last = [[r for r in records if "val_energy" in r][i] for i in (0, -1)]
    assert last["val_energy"] < 0.5 * first["val_energy"]
    assert last["val_forces"] < 0.8 * first["val_forces"]
    assert last["val_stress"] < 0.8 * first["val_stress"]


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


def test_resumed_run_keeps_each_level_its_readout(two_levels, tmp_path):
    """Checkpoints sort the names of the levels; which readout is whose must not depend on that."""
    packed, settings = tmp_path / "l.safetensors", TrainSettings(steps=8, batch_atoms=40)
    two_levels[0].save(packed)

    def loop(folder):
        changes = {"encoder": {**TINY, "reach": 1.6}}
        return prepare("dao-p", packed, folder, settings, launched("cpu"), changes)

    loop(tmp_path / "whole").run(progress=False)
    loop(tmp_path / "parts").run(progress=False, stop=lambda progress: progress.step >= 4)
    loop(tmp_path / "parts").run(progress=False)
    name = "step-000000008.safetensors"
    whole, parts = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_half_precision_is_refused(labels, tmp_path):
    with pytest.raises(InputError, match="their gradients are forces"):
        trainer(labels, tmp_path, precision="bfloat16")


def test_command_line_packs_trains_and_exports_weights_that_load(archive, tmp_path, capsys):
    packed, run, target = tmp_path / "l.safetensors", tmp_path / "runs", tmp_path / "dao-p"
    assert main(["pack", str(archive), "-o", str(packed)]) == 0
    tiny = json.dumps({"encoder": TINY})
    train = [
        "train",
        "dao-p",
        "--data",
        str(packed),
        "--validation",
        str(packed),
        "-o",
        str(run),
        "--steps",
        "3",
        "--config",
        tiny,
    ]
    assert main([*train, "--accelerator", "cpu"]) == 0
    assert "step 3 of 3" in capsys.readouterr().out
    assert (
        main(
            ["export", "dao-p", str(run / "dao-p"), "-o", str(target), "--about", '{"data": "toy"}']
        )
        == 0
    )
    potential = load_potential("dao-p", target)
    assert {11, 17, 38, 22, 8} <= potential.elements
    card = weights.read_card(target)
    assert {"NaCl", "SrTiO3"} <= set(card.config["reference_energies"])
    assert card.training["steps"] == 3
    assert card.sampling is None
    refused(target, tmp_path)


def test_command_line_packs_levels(archive, tmp_path, capsys):
    """Energies of one table give the references of the level; heats of formation go along."""
    (tmp_path / "energies.csv").write_text(
        "material_id,formation_energy_per_atom,label_source\n"
        + "".join(f"mp-{i},-1.0,{'given' if i % 2 else 'guessed'}\n" for i in range(12))
    )
    (tmp_path / "ids.txt").write_text("mp-0 mp-2")
    (tmp_path / "atoms.csv").write_text("symbol,eV_per_atom\nNa,1.1142\nCl,1.2572\n")
    packed, plain = tmp_path / "l.safetensors", tmp_path / "plain.npz"
    shutil.copy(archive, plain)
    words = [
        *("pack", f"one={archive}", f"two={plain}", "-o", str(packed)),
        *("--energies", str(tmp_path / "energies.csv"), "--label-sources", "given"),
        *("--leave-out", str(tmp_path / "ids.txt"), "--uncorrected", "plain.npz"),
        *("--free-atoms", str(tmp_path / "atoms.csv"), "--expanded-copies", "1"),
    ]
    assert main(words) == 0
    assert "two left out: 10" in capsys.readouterr().out
    labels = Labels.load(packed)
    assert labels.levels == ("one", "two")
    one, two = labels.of_level("one"), labels.of_level("two")
    assert len(one) == len(two) == 50
    assert json.loads(labels.metadata["free_atoms"]) == {"11": 1.1142, "17": 1.2572}
    references = json.loads(labels.metadata["references"])
    assert set(references) == {"one", "two"}
    salt = [
        i
        for i, c in enumerate(one.configurations.num_atoms.tolist())
        if set(one.select(torch.tensor([i])).configurations.species.tolist()) == {11, 17}
    ]
    added = ((two.energy - one.energy) / one.configurations.num_atoms)[salt]
    assert added.tolist() == pytest.approx([-0.614 / 2] * len(salt), abs=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a={archive}", "--uncorrected", "b"], "no level or file b"),
        (["a={archive}", "{archive}.csv"], "Pack these first"),
        (["{archive}.csv", "--free-atoms", "x.csv"], "--free-atoms concerns labels"),
        (["a={archive}.csv"], "level of theory concerns labels"),
        (["{archive}", "--leave-out", "nowhere.csv"], "does not exist"),
        (["{archive}", "--expanded-copies", "1"], "give formation energies"),
    ],
)
def test_packing_that_makes_no_sense_is_explained(words, message, archive, tmp_path, capsys):
    given = [word.format(archive=archive) for word in words]
    assert main(["pack", *given, "-o", str(tmp_path / "l.safetensors")]) != 0
    assert message in capsys.readouterr().err


def refused(target, tmp_path):
    """Altered cards and weights."""
    content = json.loads((target / "card.json").read_text())
    changed = json.loads(json.dumps(content))
    changed["config"]["references"][11] += 0.5
    (target / "card.json").write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match=r"does not reproduce .* NaCl: "):
        load_potential("dao-p", target)
    del changed["config"]["reference_energies"]
    (target / "card.json").write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match="no reference energies"):
        load_potential("dao-p", target)
    changed["config"]["kind"] = "sampler"
    (target / "card.json").write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match="which is no potential"):
        load_potential("dao-p", target)
    (target / "card.json").write_text(json.dumps(content))
    data = bytearray((target / "weights.safetensors").read_bytes())
    data[-3] ^= 1
    (target / "weights.safetensors").write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_potential("dao-p", target)


def test_export_of_an_untrained_folder_is_explained(tmp_path):
    with pytest.raises(CheckpointError, match="Train first"):
        export(tmp_path, tmp_path / "w", "dao-p")


@pytest.mark.slow
def test_training_needs_no_ase_no_pymatgen_no_jaxtyping(labels, tmp_path):
    labels.save(tmp_path / "l.safetensors")
    arguments = [
        "crysdiff",
        "train",
        "dao-p",
        "--data",
        str(tmp_path / "l.safetensors"),
        "-o",
        str(tmp_path / "runs"),
        "--steps",
        "2",
        "--accelerator",
        "cpu",
        "--config",
        json.dumps({"encoder": TINY}),
    ]
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
