"""Pretraining from the command line: train, go on in a second stage, export, load, and judge."""

import json

import pytest
import torch

from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights
from ase_crysdiff.models.pretrained import load_autoencoder, load_backbone
from ase_crysdiff.networks.graph import build_graph
from ase_crysdiff.testing.crystals import prototype_batch
from ase_crysdiff.training import checkpoint

BACKBONE = {"name": "crystal-graph", "hidden": 32, "layers": 2, "neighbors": 6}
SMALL = {
    "backbone": BACKBONE,
    "latent": {"width": 16},
    "denoiser": {"width": 32, "layers": 1, "heads": 2},
}


@pytest.fixture(scope="module")
def data(crystals, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "packed.safetensors"
    crystals.save(path)
    return path


def train(data, folder, *more, name="crysldnet", config=None, steps=4):
    words = [
        "train",
        name,
        "--data",
        str(data),
        "-o",
        str(folder),
        "--steps",
        str(steps),
        "--batch-size",
        "32",
    ]
    return main([*words, "--accelerator", "cpu", "--config", json.dumps(config or {}), *more])


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished run of both parts."""
    folder = tmp_path_factory.mktemp("runs")
    assert train(data, folder, config=SMALL) == 0
    return folder / "crysldnet"


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "crysldnet"
    assert main(["export", "crysldnet", str(run), "-o", str(folder)]) == 0
    return folder


def averages(run):
    return {
        n.removeprefix("average:"): t
        for n, t in checkpoint.load_newest(run).tensors.items()
        if n.startswith("average:")
    }


def test_exported_backbone_has_the_averaged_weights(run, exported, monkeypatch):
    backbone, card = load_backbone(exported)
    assert card.config["recipe"] == "crysldnet"
    assert card.config["kind"] == "backbone"
    assert card.config["backbone"] == BACKBONE
    assert card.sampling is None
    known = averages(run)
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad
        torch.testing.assert_close(parameter.detach(), known[f"backbone.{name}"], rtol=0, atol=0)
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(exported.parent))
    again, _ = load_backbone("crysldnet")
    graph = build_graph(prototype_batch(), backbone.neighborhood)
    assert torch.equal(again(graph).crystals, backbone(graph).crystals)


def test_loading_draws_nothing_from_the_global_stream(exported):
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(3)
        expected = torch.rand(4)
        torch.random.default_generator.manual_seed(3)
        load_backbone(exported)
        assert torch.equal(torch.rand(4), expected)


def test_denoiser_stays_behind_and_decoders_come_along(exported):
    _, tensors = weights.read(exported)
    assert {name.split(".")[0] for name in tensors} == {"backbone", "posterior", "decoders"}
    network, _ = load_autoencoder(exported)
    assert network.denoiser is None


def test_whole_export_keeps_everything(run, crystals, tmp_path):
    assert main(["export", "crysldnet", str(run), "--whole", "-o", str(tmp_path / "whole")]) == 0
    card, tensors = weights.read(tmp_path / "whole")
    known = averages(run)
    assert tensors.keys() == known.keys()
    assert all(torch.equal(tensor, known[name]) for name, tensor in tensors.items())
    assert sum(card.config["sizes"].values()) == len(crystals)
    load_backbone(tmp_path / "whole")


def test_second_stage_begins_with_the_first_and_adds_its_own_parts(data, tmp_path):
    assert train(data, tmp_path / "one", config={**SMALL, "stage": "vae"}) == 0
    first = averages(tmp_path / "one" / "crysldnet")
    assert {n.split(".")[0] for n in first} == {"backbone", "posterior", "decoders"}
    origin = tmp_path / "one" / "crysldnet"
    more = ("--from", str(origin), "--learning-rate", "1e-4")
    assert train(data, tmp_path / "two", *more, config={"stage": "flow"}, steps=2) == 0
    second = averages(tmp_path / "two" / "crysldnet")
    assert {n.split(".")[0] for n in second} == {"backbone", "posterior", "denoiser"}
    moved = [float((second[n] - first[n]).abs().max()) for n in second if n in first]
    assert 0 < max(moved) < 1e-3  # two steps of at most 1e-4


def test_a_stage_cannot_change_the_backbone(data, run, tmp_path, capsys):
    changed = {"backbone": {"hidden": 64}}
    assert train(data, tmp_path, "--from", str(run), config=changed) == 1
    assert "--config ['backbone'] cannot change it" in capsys.readouterr().err
    assert train(data, tmp_path, config={**SMALL, "stage": "third"}) == 1
    assert "stage must be one of ('vae', 'flow', 'both'), got 'third'" in capsys.readouterr().err


def test_reconstruction_of_crystals(data, exported, crystals, tmp_path, capsys):
    result = tmp_path / "r.json"
    words = [
        "benchmark",
        "reconstruction",
        str(exported),
        "--targets",
        str(data),
        "--limit",
        "20",
        "-o",
        str(result),
    ]
    assert main(words) == 0
    first = json.loads(result.read_text())
    assert first["targets"]["count"] == 20
    found = first["results"]
    assert set(found) == {"element_accuracy", "element_top5", "distances", "lengths", "angles"}
    sizes = crystals.batch.num_atoms[:20]
    hidden = int(torch.ceil(sizes * 0.3).sum())
    hits = found["element_accuracy"]["value"] * hidden
    assert hits == pytest.approx(round(hits), abs=1e-3)
    assert found["element_accuracy"]["value"] <= found["element_top5"]["value"]
    assert found["lengths"]["value"] > found["lengths"]["settings"]["trivial"] > 0  # barely trained
    assert found["distances"]["settings"]["unit"] == "Å"
    assert main(words) == 0
    assert json.loads(result.read_text())["results"] == found
    assert "without the latents" in capsys.readouterr().out


def test_denoising_trains_and_its_backbone_ships_alone(data, tmp_path, capsys):
    assert train(data, tmp_path, name="denoising", config={"backbone": BACKBONE}) == 0
    target = tmp_path / "weights"
    assert main(["export", "denoising", str(tmp_path / "denoising"), "-o", str(target)]) == 0
    assert {name.split(".")[0] for name in weights.read(target)[1]} == {"backbone"}
    load_backbone(target)
    assert main(["benchmark", "reconstruction", str(target), "--targets", str(data)]) == 1
    assert "had no decoders" in capsys.readouterr().err


def test_weights_of_something_else_are_refused(toy_miad, tmp_path):
    with pytest.raises(CheckpointError, match="holds a sampler, not a pretrained backbone"):
        load_backbone(toy_miad)
    with pytest.raises(CheckpointError, match="no weights for 'absent'"):
        load_backbone("absent")
