"""A run goes on with what it began with, and with nothing else."""

import json
import logging

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import InputError
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.run import train
from ase_crysdiff.training.run_record import differences
from ase_crysdiff.training.settings import TrainSettings

TINY = {"encoder": {"hidden": 32, "layers": 1, "frequencies": 4}}
SETTINGS = {"steps": 4, "batch_size": 8, "warmup": 2, "checkpoint_every": 2}


@pytest.fixture
def files(crystals, tmp_path):
    """Two data sets of the same statistics: the second has the atoms of one crystal moved."""
    paths = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    crystals.save(paths[0])
    moved = load_file(paths[0])
    moved["frac_coords"][0] += 0.01
    with safe_open(paths[0], "pt") as file:
        save_file(moved, paths[1], file.metadata())
    return paths


def run(data, folder, changes=TINY, extend=False, origin=None, **settings):
    return train(
        "dao-g",
        data,
        folder,
        TrainSettings(**SETTINGS | settings),
        changes=changes,
        origin=origin,
        extend=extend,
        accelerator="cpu",
        progress=False,
    )


def test_the_same_call_goes_on(files, tmp_path):
    assert run(files[0], tmp_path / "run").step == 4
    assert run(files[0], tmp_path / "run").step == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_size": 16}, r"setting batch_size: 8 \(the run\) against 16 \(now\)"),
        ({"seed": 1}, r"setting seed: 0 \(the run\) against 1 \(now\)"),
        ({"learning_rate": 1e-4}, r"setting learning_rate: 0.001 \(the run\) against 0.0001"),
        ({"steps": 8}, r"setting steps: 4 \(the run\) against 8 \(now\).*--extend"),
        ({"ema_decay": 0.5}, "setting ema_decay"),
    ],
)
def test_other_settings_are_refused_by_name(change, said, files, tmp_path):
    run(files[0], tmp_path / "run")
    with pytest.raises(InputError, match=said):
        run(files[0], tmp_path / "run", **change)


def test_another_config_is_refused_by_name(files, tmp_path):
    run(files[0], tmp_path / "run")
    wider = {"encoder": {**TINY["encoder"], "hidden": 64}, "loss_weights": {"lattice": 2.0}}
    with pytest.raises(InputError, match=r"encoder.hidden: 32 \(the run\) against 64") as error:
        run(files[0], tmp_path / "run", changes=wider)
    assert "loss_weights.lattice: 1.0 (the run) against 2.0 (now)" in str(error.value)
    with pytest.raises(InputError, match=r"encoder.hidden: 32 \(the run\) against 192"):
        run(files[0], tmp_path / "run", changes={})


def test_other_data_are_refused(files, tmp_path):
    run(files[0], tmp_path / "run")
    with pytest.raises(InputError, match=r"began otherwise: data: \w{12}… \(the run\) against"):
        run(files[1], tmp_path / "run")


def test_another_origin_is_refused(files, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        run(files[0], tmp_path / name, seed=seed)
    run(files[0], tmp_path / "run", {}, origin=tmp_path / "a")
    assert run(files[0], tmp_path / "run", {}, origin=tmp_path / "a").step == 4
    with pytest.raises(InputError, match=r"origin: \w{12}… \(the run\) against \w{12}… \(now\)"):
        run(files[0], tmp_path / "run", {}, origin=tmp_path / "b")
    with pytest.raises(InputError, match=r"origin: \w{12}… \(the run\) against none \(now\)"):
        run(files[0], tmp_path / "run")


def test_an_extended_run_does_not_read_its_origin_again(files, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        run(files[0], tmp_path / name, seed=seed)
    for name in ("run", "same"):
        run(files[0], tmp_path / name, {}, origin=tmp_path / "a")
    ended = {
        name: run(files[0], tmp_path / name, {}, origin=tmp_path / origin, extend=True, steps=6)
        for name, origin in (("run", "b"), ("same", "a"))
    }
    newest = {name: checkpoint.load_newest(tmp_path / name) for name in ended}
    assert all(end.step == 6 for end in ended.values())
    tensors = newest["same"].tensors
    assert all(torch.equal(tensors[name], t) for name, t in newest["run"].tensors.items())
    assert "origin" in newest["run"].record.history[0]["changed"]
    assert "origin" not in newest["same"].record.history[0]["changed"]
    assert run(files[0], tmp_path / "run", {}, origin=tmp_path / "b", steps=6).step == 6


def test_bookkeeping_and_validation_may_change(files, tmp_path):
    run(files[0], tmp_path / "run", steps=4)
    free = {"checkpoint_every": 3, "log_every": 1, "validate_every": 2}
    assert run(files[0], tmp_path / "run", **free).step == 4


def test_a_run_is_extended_when_that_is_asked_for(files, tmp_path):
    run(files[0], tmp_path / "run")
    course = {"steps": 7, "cooldown": 0.5, "learning_rate": 5e-4}
    assert run(files[0], tmp_path / "run", extend=True, **course).step == 7
    record = checkpoint.load_newest(tmp_path / "run").record
    changed = {"steps": [4, 7], "cooldown": [0.2, 0.5], "learning_rate": [1e-3, 5e-4]}
    assert record.history == ({"step": 4, "changed": changed},)
    assert run(files[0], tmp_path / "run", **course).step == 7  # has become its course
    with pytest.raises(InputError, match="setting steps: 7"):
        run(files[0], tmp_path / "run")
    with pytest.raises(InputError, match="setting batch_size"):
        run(files[0], tmp_path / "run", extend=True, batch_size=4)


def test_a_run_is_shortened_and_ends_with_a_learning_rate_of_zero(files, tmp_path):
    run(files[0], tmp_path / "run", steps=4)
    assert run(files[0], tmp_path / "run", extend=True, steps=3).step == 4  # it is past the end
    assert TrainSettings(**SETTINGS | {"steps": 7}).rate(7) == 0


def test_extended_run_is_resumed_bit_for_bit(files, tmp_path):
    for name in ("whole", "parts"):
        run(files[0], tmp_path / name)
    run(files[0], tmp_path / "whole", extend=True, steps=9)
    run(files[0], tmp_path / "parts", extend=True, steps=9)
    whole, parts = (checkpoint.load_newest(tmp_path / n).tensors for n in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def older(folder):
    """Makes the checkpoints of a run those of before: without settings and digests."""
    for path in folder.glob("step-*.safetensors"):
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            metadata = {k: file.metadata()[k] for k in ("format", "progress", "config")}
        save_file(tensors, path, metadata)


def test_checkpoints_of_before_are_resumed_and_said(files, tmp_path, caplog):
    run(files[0], tmp_path / "run")
    older(tmp_path / "run")
    with caplog.at_level(logging.INFO):
        assert run(files[0], tmp_path / "run", steps=6).step == 6
    assert "kept no record of its settings and inputs" in caplog.text
    record = checkpoint.load_newest(tmp_path / "run").record
    assert record.settings["steps"] == 6
    assert set(record.inputs) == {"data"}
    with pytest.raises(InputError, match="data: "):
        run(files[1], tmp_path / "run", steps=6)


def test_checkpoints_of_before_still_refuse_another_config(files, tmp_path):
    run(files[0], tmp_path / "run")
    older(tmp_path / "run")
    with pytest.raises(InputError, match=r"encoder.hidden: 32 \(the run\) against 192"):
        run(files[0], tmp_path / "run", changes={})


def test_statistics_that_differ_in_the_last_digits_are_the_same(files, tmp_path):
    """Sums of the data differ from machine to machine; the run keeps its own."""
    run(files[0], tmp_path / "run")
    (path, *_) = sorted((tmp_path / "run").glob("step-*"), reverse=True)
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    config["lattice"]["mean"] = [x * (1 + 1e-7) for x in config["lattice"]["mean"]]
    save_file(tensors, path, metadata | {"config": json.dumps(config)})
    run(files[0], tmp_path / "run")
    assert checkpoint.load_newest(tmp_path / "run").record.config == config


def test_command_line_refuses_and_extends(files, tmp_path, capsys):
    words = ["train", "dao-g", "--data", str(files[0]), "-o", str(tmp_path / "runs")]
    words += ["--config", json.dumps(TINY), "--batch-size", "8", "--accelerator", "cpu", "--steps"]
    assert main([*words, "2"]) == 0
    assert main([*words, "4"]) == 1
    assert "steps: 2 (the run) against 4 (now)" in capsys.readouterr().err
    assert main([*words, "4", "--extend"]) == 0
    assert "step 4 of 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1.0}, {"a": 1.0 + 1e-9}, []),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a: [1, 2] (the run) against [1, 3] (now)"]),
        ({"a": {"b": "x"}}, {"a": {}}, ['a.b: "x" (the run) against nothing (now)']),
        ({}, {"c": None}, ["c: nothing (the run) against null (now)"]),
        ({"a": 0.5}, {"a": None}, ["a: 0.5 (the run) against null (now)"]),
    ],
)
def test_differences_are_named(old, new, expected):
    assert list(differences(old, new)) == expected
