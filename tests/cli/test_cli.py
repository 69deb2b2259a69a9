"""The commands as a user types them: usage, list, pack, train, export, doctor."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import ase.io
import pytest
from pymatgen.core import Structure
from sampling_runs import crysdiff, sample_words, table

from ase_crysdiff import __version__, registry
from ase_crysdiff.cli.main import COMMANDS, main
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights
from ase_crysdiff.testing.crystals import rattled

HOME = Path(__file__).parents[2]
TINY = {"encoder": {"name": "cspnet", "hidden": 32, "layers": 2, "frequencies": 32}}


# Usage


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], ["paint"], ["vary"], ["sample", "miad", "-n", "many"], ["list", "--loud"]]
)
def test_wrong_usage_exits_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "usage: crysdiff" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: crysdiff {command}" in capsys.readouterr().out


def test_list_shows_every_kind_of_part(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown: dict[str, list[str]] = {}
    for line in lines:
        if line.endswith(":"):
            kind = line.removesuffix(":")
            shown[kind] = []
        else:
            shown[kind].append(line.split()[0])
    known = {registry.kind_of(g): registry.names(g) for g in registry.GROUPS if registry.names(g)}
    assert shown == known
    assert {"sampler", "potential", "predictor", "recipe", "benchmark"} <= known.keys()
    assert any(line.split()[:3] == ["miad", "ase-crysdiff", __version__] for line in lines)
    # Columns are aligned, and parts without a card say what they are.
    assert len({line.find(" ase-crysdiff ") for line in lines if not line.endswith(":")}) == 1
    assert any("temperature" in line and "Divides the logits" in line for line in lines)


# pack


def test_pack(tmp_path, capsys):
    cifs = tmp_path / "cifs"
    cifs.mkdir()
    for i, structure in enumerate(rattled(4)):
        structure.to(filename=str(cifs / f"{i}.cif"))
    (cifs / "broken.cif").write_text("data_nothing\n")
    output = tmp_path / "data.safetensors"
    assert main(["pack", str(cifs), "-o", str(output)]) == 0
    text = capsys.readouterr().out
    packed = PackedCrystals.load(output)
    assert len(packed) == 4
    assert "4 of 5 crystals packed" in text
    assert "broken: unreadable" in text
    assert f"4 crystals, sha256 {packed.digest[:12]}" in text


def test_pack_without_sources_is_explained(tmp_path, capsys):
    output = tmp_path / "data.safetensors"
    assert main(["pack", str(tmp_path / "absent.csv"), "-o", str(output)]) == 1
    streams = capsys.readouterr()
    assert "crysdiff pack: " in streams.err
    assert "absent.csv does not exist" in streams.err
    assert streams.out == ""
    assert not output.exists()


def test_archives_are_packed_without_processes(tmp_path, capsys):
    (tmp_path / "labels.npz").write_bytes(b"")
    asked = ["pack", str(tmp_path / "labels.npz"), "-o", str(tmp_path / "l.safetensors")]
    assert main([*asked, "--workers", "2"]) == 1
    assert "labels.npz is an archive. Leave the option out." in capsys.readouterr().err


def test_pack_into_a_file_of_another_kind_is_refused_before_any_work(tmp_path, capsys):
    output = tmp_path / "absent" / "data.foo"
    assert main(["pack", str(tmp_path / "absent.csv"), "-o", str(output)]) == 1
    assert f"ends in .safetensors, got {output}" in capsys.readouterr().err
    assert not output.parent.exists()


@pytest.mark.parametrize("place", ["absent/data.safetensors", "file/data.safetensors"])
def test_pack_into_a_place_that_cannot_be_written_is_explained(place, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    rattled(1)[0].to(filename=str(tmp_path / "one.cif"))
    code = main(["pack", str(tmp_path / "one.cif"), "-o", str(tmp_path / place)])
    assert (
        code == 0 or "cannot be written" in capsys.readouterr().err
    )  # making the folder is as good
    assert (code == 0) == (tmp_path / place).exists()


# train, export, sample


def test_train_export_sample(tmp_path, crystals, capsys):
    data, runs, toy, out = (
        tmp_path / "data.safetensors",
        tmp_path / "runs",
        tmp_path / "toy",
        tmp_path / "out",
    )
    crystals.save(data)
    words = [
        "train",
        "miad",
        f"dao-g={data}",
        "--data",
        str(data),
        "--validation",
        str(data),
        "-o",
        str(runs),
    ]
    words += ["--config", json.dumps(TINY)]
    words += [
        "--accelerator",
        "cpu",
        "--steps",
        "3",
        "--batch-size",
        "8",
        "--validate-every",
        "3",
        "--log-every",
        "1",
    ]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "60 crystals (0 left out)" in text
    assert "miad: step 3 of 3" in text
    assert "dao-g: step 3 of 3" in text

    assert main(words) == 0  # all steps are done
    assert "miad: step 3 of 3" in capsys.readouterr().out

    about = json.dumps({"data": "sixty toys"})
    assert (
        main(
            [
                "export",
                "miad",
                str(runs / "miad"),
                "-o",
                str(toy),
                "--steps",
                "10",
                "--about",
                about,
            ]
        )
        == 0
    )
    card = weights.read_card(toy)
    assert capsys.readouterr().out.startswith(f"{toy}: miad {card.version}, ")
    assert card.training["data"] == "sixty toys"
    assert card.training["steps"] == 3
    assert card.sampling.steps == 10
    tuned = [
        "--solver",
        "heun",
        "--symmetric-steps",
        "5",
        "--start",
        "0.9",
        "--hurry",
        "4",
        "--closest-approach",
        "0.7",
        "--corrector",
        "1e-6",
    ]
    assert main(["export", "miad", str(runs / "miad"), "-o", str(tmp_path / "tuned"), *tuned]) == 0
    sampling = weights.read_card(tmp_path / "tuned").sampling
    assert (sampling.solver, sampling.symmetric_steps, sampling.start) == ("heun", 5, 0.9)
    assert sampling.velocity_annealing == {"frac_coords": 4.0}
    assert sampling.closest_approach == 0.7
    assert sampling.corrections == {"frac_coords": 1e-6}
    like = ["--sampling-of", str(tmp_path / "tuned"), "--steps", "7", "--hurry", "0"]
    assert main(["export", "miad", str(runs / "miad"), "-o", str(tmp_path / "like"), *like]) == 0
    found = weights.read_card(tmp_path / "like").sampling
    assert found == replace(sampling, steps=7, velocity_annealing={})
    shipped = ["-o", str(tmp_path / "shipped"), "--sampling-of", "miad"]
    assert main(["export", "miad", str(runs / "miad"), *shipped]) == 0
    expected = weights.read_card(weights.find("miad")).sampling
    assert weights.read_card(tmp_path / "shipped").sampling == expected
    capsys.readouterr()
    nothing = ["-o", str(tmp_path / "none"), "--sampling-of", "dao-p"]
    assert main(["export", "miad", str(runs / "miad"), *nothing]) == 1
    assert "Nothing is drawn from dao-p" in capsys.readouterr().err

    assert main(sample_words(toy, out, "-n", 3)) == 0
    text = capsys.readouterr().out
    assert len(table(text)) == 5
    assert "3 of 3 crystals by miad (seed 3)" in text
    assert sorted(p.name[:4] for p in out.glob("*.cif")) == ["0000", "0001", "0002"]
    frames = ase.io.read(out / "crystals.extxyz", ":")
    assert [f.info["crysdiff_index"] for f in frames] == [0, 1, 2]
    assert {len(f) for f in frames} == {2}
    for path, frame in zip(sorted(out.glob("*.cif")), frames, strict=True):
        assert Structure.from_file(path).composition.as_dict() == frame.symbols.formula.count()
    record = json.loads((out / "run.json").read_text())
    assert record["seed"] == 3
    assert record["settings"]["weights"] == card.version
    assert record["settings"]["num_atoms"] == 2
    assert record["last_run"]["made"] == 3
    assert {p.name for p in out.iterdir() if p.suffix != ".cif"} == {
        "crystals.extxyz",
        "run.json",
        "journal.jsonl",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--config", '{"painter": 1}'], "config has no .*painter"),
        (["--config", '{"encoder": {"depth": 3}}'], "does not take"),
        (["--steps", "0"], "steps must be positive"),
        (["--data", "absent.safetensors"], "absent.safetensors cannot be read.*crysdiff pack"),
        (["--validation", "absent.safetensors"], "absent.safetensors cannot be read"),
    ],
)
def test_train_explains_nonsense(change, message, tmp_path, crystals, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    crystals.save("data.safetensors")
    common = [
        "--data",
        "data.safetensors",
        "--accelerator",
        "cpu",
        "--steps",
        "1",
        "--config",
        json.dumps(TINY),
    ]
    assert main(["train", "miad", *common, *change]) == 1
    err = capsys.readouterr().err
    assert err.startswith("crysdiff train: ")
    assert re.search(message, err)


def test_train_without_data_or_recipe_is_explained(tmp_path, crystals, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    crystals.save("data.safetensors")
    assert main(["train", "miad", "--accelerator", "cpu"]) == 1
    assert "No data for miad" in capsys.readouterr().err
    assert main(["train", "painter=data.safetensors", "--accelerator", "cpu"]) == 1
    assert "No recipe trains 'painter'" in capsys.readouterr().err


def test_export_without_a_checkpoint_is_explained(tmp_path, capsys):
    assert main(["export", "miad", str(tmp_path / "absent"), "-o", str(tmp_path / "toy")]) == 1
    assert "has no checkpoint to export. Train first" in capsys.readouterr().err
    assert not (tmp_path / "toy").exists()


# doctor


#: Makes none of the parts, which takes long and is looked at below.
DOCTOR_ALONE = """
from ase_crysdiff import registry
from ase_crysdiff.cli.main import main
registry.GROUPS = ()
raise SystemExit(main(["doctor"]))
"""


def test_doctor_names_a_folder_that_hides_ours(tmp_path):
    hiding = tmp_path / "calculators"
    hiding.mkdir()
    (hiding / "__init__.py").write_text("")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    words = [sys.executable, "-c", DOCTOR_ALONE]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=env)
    out = ran.stdout
    assert ran.returncode == 1, ran.stderr
    assert f"PROBLEM 'calculators' is imported from {hiding.resolve()}" in out
    count = out.count("PROBLEM ")
    assert out.endswith("1 problem\n" if count == 1 else f"{count} problems\n")
    assert "'pymatgen_ext' is imported" not in out


def test_doctor_prints_what_is_there(tmp_path):
    process = crysdiff("doctor", cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert err == ""
    assert f"ase-crysdiff {__version__}, Python 3." in out
    for name in ("ase", "pymatgen", "torch", "spglib"):
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert line.split()[1][0].isdigit()
    assert "is imported from" not in out
    if find_spec("sevenn") is None:  # what is optional is no problem
        assert "sevennet-l3i5 (SevenNet needs its package: pip install" in out
    for kind, name in (("potential", "dao-p"), ("potential", "chgnet"), ("predictor", "band-gap")):
        assert f"  {kind:12} {name}\n" in out
    missing = [
        n
        for n in registry.names(registry.SAMPLERS)
        if n not in {"chggen", "default", "random-assembly", "random-exchange"}  # they borrow
        and not has_weights(n)
    ]
    for name in missing:
        assert f"no weights for {name!r}" in out
    assert process.returncode == (1 if missing else 0)
    assert ("Everything is in place." in out) == (not missing)


def test_doctor_names_parts_that_do_not_work(monkeypatch, capsys):
    def broken(weights=None, device="cpu", dtype=None):
        raise RuntimeError("no such library")

    registry.register(registry.POTENTIALS, "broken-potential", broken)
    registry.register(registry.PREDICTORS, "broken-predictor", broken)
    names = registry.names  # of which those that work are looked at above
    monkeypatch.setattr(registry, "names", lambda g: [n for n in names(g) if "broken" in n])
    try:
        assert main(["doctor"]) == 1
    finally:
        registry.unregister(registry.POTENTIALS, "broken-potential")
        registry.unregister(registry.PREDICTORS, "broken-predictor")
    out = capsys.readouterr().out
    for kind in ("potential", "predictor"):
        assert f"PROBLEM {kind} 'broken-{kind}' cannot be made: RuntimeError" in out


def has_weights(name):
    try:
        weights.find(name)
    except CheckpointError:
        return False
    return True


def test_version_needs_no_torch(tmp_path):
    """The command line imports what a command needs only."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    process = crysdiff("--version", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert __version__ in out


#: Cells of which spglib's library complains on the terminal, since they are nearly symmetric.
ODD = """
import sys, warnings
import numpy, spglib
from ase_crysdiff.cli.main import main
warnings.simplefilter("ignore")

def ask():
    for seed in range(60):
        random = numpy.random.default_rng(seed)
        cell = random.normal(size=(3, 3)), random.random((2, 3)), [1, 1]
        spglib.get_symmetry_dataset(cell, symprec=0.3)

ask()
print("now ours", file=sys.stderr, flush=True)
main(["list"])
ask()
"""


def test_spglib_does_not_speak_on_the_terminal_of_the_command_line():
    # Others may have asked spglib, for this process, to raise or to be silent.
    env = {k: v for k, v in os.environ.items() if not k.startswith("SPGLIB")}
    ran = subprocess.run([sys.executable, "-c", ODD], capture_output=True, text=True, env=env)
    assert ran.returncode == 0, ran.stderr
    before, after = ran.stderr.split("now ours\n")
    assert "spglib:" in before
    assert "spglib:" not in after
