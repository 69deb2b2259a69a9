import json
import signal
import subprocess
import sys
import time

import pytest
from ase.io import read
from pymatgen.core import Structure

from ase_crysdiff import __version__
from ase_crysdiff.cli.main import main
from ase_crysdiff.testing.crystals import rattled


def sample(toy, folder, *more, count=5):
    return [
        "sample",
        "miad",
        "-n",
        str(count),
        "-o",
        str(folder),
        "--weights",
        str(toy),
        "--redraws",
        "40",
        "--device",
        "cpu",
        *more,
    ]


def crystals(folder):
    return {path.name: path.read_text() for path in sorted(folder.glob("*.cif"))}


def test_version_and_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert __version__ in capsys.readouterr().out
    for words in (["nothing"], [], ["sample"], ["sample", "miad", "-n", "many"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2


def test_list_names_samplers_and_their_package(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "miad" in out
    assert f"ase-crysdiff {__version__}" in out


def test_pack_train_export_sample(tmp_path, capsys):
    """The whole way from CIF files to new crystals."""
    folder = tmp_path / "cifs"
    folder.mkdir()
    for i, s in enumerate(rattled(10)):
        s.to(filename=str(folder / f"{i}.cif"))
    (folder / "broken.cif").write_text("data_x")
    data = tmp_path / "data.safetensors"
    assert main(["pack", str(folder), "-o", str(data)]) == 0
    out = capsys.readouterr().out
    assert "10 of 11 crystals packed" in out
    assert "broken: unreadable" in out
    tiny = json.dumps({"encoder": {"hidden": 32, "layers": 1, "frequencies": 4}})
    train = ["train", "miad", f"dao-g={data}", "--data", str(data), "-o", str(tmp_path / "runs"), "--steps", "3"]
    assert main([*train, "--batch-size", "4", "--accelerator", "cpu", "--config", tiny]) == 0
    out = capsys.readouterr().out
    assert "miad: step 3 of 3" in out
    assert "dao-g: step 3 of 3" in out
    weights = tmp_path / "weights" / "miad"
    assert main(["export", "miad", str(tmp_path / "runs" / "miad"), "-o", str(weights), "--steps", "5"]) == 0
    assert main(sample(weights, tmp_path / "out", count=2)) == 0
    assert len(crystals(tmp_path / "out")) == 2


def test_sample_writes_files_and_a_table(toy_miad, tmp_path, capsys):
    assert main(sample(toy_miad, tmp_path / "out", "--seed", "1")) == 0
    out = capsys.readouterr().out
    assert out.count("\n") >= 9
    assert "space group" in out
    files = crystals(tmp_path / "out")
    assert len(files) == 5
    frames = read(tmp_path / "out" / "crystals.extxyz", ":")
    assert [f.info["crysdiff_index"] for f in frames] == list(range(5))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["seed"] == 1
    for name, frame in zip(files, frames, strict=True):
        assert len(Structure.from_file(tmp_path / "out" / name)) == len(frame)


def test_same_command_draws_nothing_again_and_more_continues(toy_miad, tmp_path, capsys):
    folder, whole = tmp_path / "out", tmp_path / "whole"
    assert main(sample(toy_miad, folder, "--seed", "1", count=3)) == 0
    before = crystals(folder)
    capsys.readouterr()
    assert main(sample(toy_miad, folder, count=3)) == 0
    assert "3 crystals are already" in capsys.readouterr().out
    assert crystals(folder) == before
    assert main(sample(toy_miad, folder, count=6)) == 0
    assert main(sample(toy_miad, whole, "--seed", "1", count=6)) == 0
    assert crystals(folder) == crystals(whole)


@pytest.mark.parametrize("more", [("--seed", "2"), ("--num-atoms", "2"), ("--steps", "4"), ("--elements", "Na-Cl")])
def test_folder_of_another_run_is_refused(toy_miad, tmp_path, capsys, more):
    assert main(sample(toy_miad, tmp_path, "--seed", "1", count=1)) == 0
    before = crystals(tmp_path)
    assert main(sample(toy_miad, tmp_path, *more, count=1)) == 1
    assert "other settings" in capsys.readouterr().err
    assert crystals(tmp_path) == before


def test_torn_journal_is_mended(toy_miad, tmp_path):
    assert main(sample(toy_miad, tmp_path / "whole", "--seed", "1")) == 0
    for damage in (lambda b: b[:-20], lambda b: b + b'{"index": 4, "struc'):
        folder = tmp_path / f"torn{len(damage(b'x' * 30))}"
        assert main(sample(toy_miad, folder, "--seed", "1", count=4)) == 0
        journal = folder / "journal.jsonl"
        journal.write_bytes(damage(journal.read_bytes()))
        assert main(sample(toy_miad, folder)) == 0
        assert crystals(folder) == crystals(tmp_path / "whole")
        assert len(read(folder / "crystals.extxyz", ":")) == 5


@pytest.mark.slow
def test_killed_run_continues_where_it_stopped(toy_miad, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(sample(toy_miad, whole, "--seed", "1", count=40)) == 0
    command = [sys.executable, "-m", "ase_crysdiff.cli", *sample(toy_miad, killed, "--seed", "1", "--batch-size", "2", count=40)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(crystals(killed)) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(crystals(killed)) < 40
    assert main(sample(toy_miad, killed, count=40)) == 0
    assert crystals(killed) == crystals(whole)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "maid"], "Did you mean 'miad'"),
        (["sample", "miad", "-n", "0"], "at least 1"),
        (["sample", "miad", "--chemical-system", "Li-Xx"], "'Xx' is no chemical element"),
        (["sample", "miad", "--weights", "absent"], "holds no weights"),
        (["pack", "absent.csv", "-o", "x.safetensors"], "does not exist"),
        (["train", "miad", "--accelerator", "cpu"], "Give --data"),
        (["train", "miad", "--accelerator", "cpu", "--data", "absent.safetensors"], "crysdiff pack"),
        (["train", "miad", "--accelerator", "cpu", "--steps", "0"], "steps must be positive"),
        (["export", "miad", "absent", "-o", "x"], "Train first"),
    ],
)
def test_mistakes_are_explained(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    assert message in capsys.readouterr().err


def test_unwritable_output_is_refused_before_any_work(toy_miad, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    started = time.monotonic()
    assert main(sample(toy_miad, tmp_path / "file" / "out", count=10**6)) == 1
    assert time.monotonic() - started < 5
    assert "cannot be written" in capsys.readouterr().err


def test_unknown_config_entry_is_refused(tmp_path, capsys, crystals):
    data = tmp_path / "data.safetensors"
    crystals.save(data)
    for config, message in (('{"encodr": {}}', "has no ['encodr']"), ('{"encoder": {"depth": 3}}', "does not take")):
        words = ["train", "miad", "--data", str(data), "-o", str(tmp_path / "runs"), "--accelerator", "cpu", "--config", config]
        assert main(words) == 1
        assert message in capsys.readouterr().err


def test_doctor_finds_a_folder_that_hides_ours(tmp_path):
    (tmp_path / "calculators").mkdir()
    (tmp_path / "calculators" / "__init__.py").write_text("")
    command = [sys.executable, "-m", "ase_crysdiff.cli", "doctor"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert str(tmp_path / "calculators") in done.stdout
    away = tmp_path / "elsewhere"
    away.mkdir()
    done = subprocess.run(command, cwd=away, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Everything is in place." in done.stdout
