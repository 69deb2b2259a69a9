"""`crysdiff train --from`: the second stage begins with the weights of the first."""

import json
from pathlib import Path

import pytest
import torch
from lightning.fabric import Fabric

from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models.generative import load
from ase_crysdiff.processes.flow import TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.export import export
from ase_crysdiff.training.run import prepare
from ase_crysdiff.training.settings import TrainSettings

TINY = '{"encoder": {"hidden": 32, "layers": 1, "frequencies": 4}}'


@pytest.fixture
def files(crystals, tmp_path):
    """The data of two stages, and the finished run of the first."""
    stages = tmp_path / "stage1.safetensors", tmp_path / "stage2.safetensors"
    crystals.save(stages[0])
    crystals.select(crystals.batch.num_atoms <= 2).save(stages[1])
    command = [
        "train",
        "dao-g",
        "--data",
        str(stages[0]),
        "-o",
        str(tmp_path / "one"),
        "--steps",
        "6",
        "--config",
        TINY,
    ]
    assert main([*command, "--batch-size", "8", "--accelerator", "cpu"]) == 0
    return stages


def trainer(data, folder, origin, changes=None, name="dao-g"):
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    settings = TrainSettings(steps=4, batch_size=8, learning_rate=1e-4, warmup=0, seed=5)
    return prepare(name, data, folder, settings, fabric, changes or {}, origin=origin)


def averages(run):
    found = checkpoint.load_newest(run)
    return found.averaged, found.record.config


@pytest.mark.parametrize("exported", [False, True])
def test_second_stage_begins_with_the_averaged_weights_and_the_config_of_the_first(
    exported, files, tmp_path
):
    run = tmp_path / "one" / "dao-g"
    origin = tmp_path / "weights" if exported else run
    if exported:
        export(run, origin, "dao-g")
    weights, config = averages(run)
    second = trainer(files[1], tmp_path / "two", origin)
    assert dict(second.task.network.named_parameters()).keys() == weights.keys()
    for name, parameter in second.task.network.named_parameters():
        torch.testing.assert_close(parameter.detach(), weights[name], rtol=0, atol=0)
        torch.testing.assert_close(second.average.weights[name], weights[name], rtol=0, atol=0)
    assert second.progress.step == 0
    assert not second.optimizer.state
    assert (
        second.task.config["elements"] == config["elements"]
    )  # of the first stage: the second one's are fewer
    second.run(progress=False)
    assert second.progress.step == 4
    assert (
        trainer(files[1], tmp_path / "two", origin).progress.step == 4
    )  # goes on, and does not begin anew


def test_a_network_that_reads_more_begins_as_the_one_that_reads_less(files, tmp_path, caplog):
    run = tmp_path / "one" / "dao-g"
    weights, config = averages(run)
    same = trainer(files[1], tmp_path / "same", run)
    with caplog.at_level("INFO"):
        loop = trainer(files[1], tmp_path / "two", run, {"encoder": {"distances": 4}})
    assert "encoder.layers.0.edge_in.weight begin as zeros" in caplog.text
    assert loop.task.config == {**config, "encoder": {**config["encoder"], "distances": 4}}
    grown = dict(loop.task.network.named_parameters())["encoder.layers.0.edge_in.weight"]
    before = weights["encoder.layers.0.edge_in.weight"]
    torch.testing.assert_close(grown[:, : before.shape[1]].detach(), before, rtol=0, atol=0)
    assert grown.shape[1] == before.shape[1] + 3 + 4
    assert not grown[:, before.shape[1] :].any()
    batch = next(iter(loop.data.epoch(0, 0)))

    def loss(of):
        generator = torch.Generator().manual_seed(0)
        return of.task.objective.loss(of.task.network, batch, generator)[0].item()

    assert loss(loop) == pytest.approx(loss(same), rel=1e-5)
    loop.run(progress=False)
    assert grown[:, before.shape[1] :].any()
    again = trainer(files[1], tmp_path / "two", run, {"encoder": {"distances": 4}})
    assert again.progress.step == 4
    export(tmp_path / "two", tmp_path / "weights", "dao-g")
    model, _ = load(tmp_path / "weights")
    assert model.denoiser.encoder.distances == 4
    third = trainer(files[1], tmp_path / "three", tmp_path / "weights")
    assert third.task.config["encoder"]["distances"] == 4
    with pytest.raises(CheckpointError, match="does not fit"):
        trainer(files[1], tmp_path / "x", tmp_path / "weights", {"encoder": {"distances": 5}})
    more = {"encoder": {"distances": 4, "hidden": 64}}
    with pytest.raises(InputError, match="--from keeps the config"):
        trainer(files[1], tmp_path / "y", run, more)


def test_command_line(files, tmp_path):
    command = [
        "train",
        "dao-g",
        "--data",
        str(files[1]),
        "-o",
        str(tmp_path / "two"),
        "--from",
        str(tmp_path / "one" / "dao-g"),
    ]
    assert (
        main(
            [
                *command,
                "--steps",
                "3",
                "--batch-size",
                "8",
                "--learning-rate",
                "1e-4",
                "--accelerator",
                "cpu",
            ]
        )
        == 0
    )
    after, _ = averages(tmp_path / "two" / "dao-g")
    before, _ = averages(tmp_path / "one" / "dao-g")
    moved = max(float((after[n] - before[n]).abs().max()) for n in after)
    assert 0 < moved < 1e-3  # three steps of at most 1e-4


def test_shipped_weights_are_found_by_name(files, tmp_path, monkeypatch):
    export(tmp_path / "one" / "dao-g", tmp_path / "weights" / "dao-g", "dao-g")
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(tmp_path / "weights"))
    loop = trainer(files[1], tmp_path / "two", Path("dao-g"))
    weights, _ = averages(tmp_path / "one" / "dao-g")
    for name, parameter in loop.task.network.named_parameters():
        torch.testing.assert_close(parameter.detach(), weights[name], rtol=0, atol=0)


def test_what_nobody_can_start_from_is_refused(files, tmp_path):
    run = tmp_path / "one" / "dao-g"
    with pytest.raises(CheckpointError, match="neither a training run nor weights"):
        trainer(files[1], tmp_path / "two", tmp_path / "absent")
    with pytest.raises(CheckpointError, match="no weights for 'miat'"):
        trainer(files[1], tmp_path / "two", Path("miat"))
    with pytest.raises(InputError, match="recipe 'dao-g', which 'miad' cannot start from"):
        trainer(files[1], tmp_path / "two", run, name="miad")
    with pytest.raises(InputError, match="--from keeps the config"):
        trainer(files[1], tmp_path / "two", run, changes={"encoder": {"hidden": 64}})


def test_a_config_may_name_the_processes_of_its_components(files, tmp_path):
    named = {
        "lattice": {"name": "gaussian-diffusion", "target": "noise"},
        "frac_coords": {"name": "torus-flow"},
    }
    changes = {"processes": named, "encoder": json.loads(TINY)["encoder"]}
    loop = trainer(files[0], tmp_path / "own", None, changes, "dao-g-flow")
    components = loop.task.objective.model.joint.components
    assert isinstance(components["lattice"].process, GaussianDiffusion)
    assert isinstance(components["frac_coords"].process, TorusFlow)
    loop.run()
    _, config = averages(tmp_path / "own")
    assert config["processes"] == named
    with pytest.raises(InputError, match="no process for frac_coords"):
        trainer(files[0], tmp_path / "x", None, {"processes": {"lattice": named["lattice"]}})
    with pytest.raises(InputError, match="'processes'"):
        trainer(files[0], tmp_path / "y", None, {"process": named})
