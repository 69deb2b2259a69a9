"""The commands as a user types them. Weights are those of untrained toys, so draws are often
rejected: --redraws 30.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import pytest
from pymatgen.core import Structure

from ase_crysdiff import __version__, registry
from ase_crysdiff.cli.main import COMMANDS, main
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights
from ase_crysdiff.models.generative import load
from ase_crysdiff.testing.crystals import rattled

HOME = Path(__file__).parents[2]
TINY = {"encoder": {"name": "cspnet", "hidden": 32, "layers": 2, "frequencies": 32}}


def sample_words(toy, folder, *more):
    """More words come last, so that they win over those here."""
    common = ["--num-atoms", "2", "--redraws", "30", "--device", "cpu", "--seed", "3"]
    return ["sample", "miad", "--weights", str(toy), "-o", str(folder), *common, *map(str, more)]


def journal(folder):
    entries = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    found = {e["index"]: Structure.from_dict(e["structure"]) for e in entries}
    assert len(found) == len(entries)  # nothing was drawn twice
    return found


def table(text):
    """The lines of the table: from its header to the report."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("formula"))
    end = next(i for i, line in enumerate(lines) if " crystals by miad" in line)
    return lines[start:end]


def crystal_files(folder):
    """Time and content of what drawing writes."""
    return {
        p.name: (p.stat().st_mtime_ns, p.read_bytes())
        for p in folder.iterdir()
        if p.suffix in (".cif", ".jsonl")
    }


def same_run(a, b):
    assert journal(a) == journal(b)
    assert (a / "crystals.extxyz").read_text() == (b / "crystals.extxyz").read_text()
    cifs = [{p.name: p.read_text() for p in folder.glob("*.cif")} for folder in (a, b)]
    assert cifs[0] == cifs[1]


@pytest.fixture(scope="module")
def six(toy_miad, tmp_path_factory):
    """An uninterrupted run of six crystals; not to be changed."""
    folder = tmp_path_factory.mktemp("six") / "run"
    assert main(sample_words(toy_miad, folder, "-n", 6, "--batch-size", 4)) == 0
    return folder


def crysdiff(*words, cwd, **environment):
    """The command in a process of its own, in a folder that holds nothing of ours."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "ase_crysdiff.cli", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A test run in the background of a shell ignores SIGINT, and would hand that on.
    return subprocess.Popen(command, cwd=cwd, env=variables, preexec_fn=_heed_interrupts, **pipes)


def _heed_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# Usage


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], ["paint"], ["sample"], ["sample", "miad", "-n", "many"], ["list", "--loud"]]
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
    assert card.sampling["steps"] == 10
    tuned = [
        "--solver",
        "heun",
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
    assert (sampling["solver"], sampling["start"], sampling["hurry"]) == (
        "heun",
        0.9,
        {"frac_coords": 4.0},
    )
    assert (sampling["closest_approach"], sampling["corrections"]) == (
        {"fraction": 0.7},
        {"frac_coords": 1e-6},
    )
    capsys.readouterr()

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


# sample: going on


def test_same_command_again_draws_nothing(toy_miad, tmp_path, six, capsys):
    words = sample_words(toy_miad, tmp_path, "-n", 6, "--batch-size", 4)
    assert main(words) == 0
    first = table(capsys.readouterr().out)
    before = crystal_files(tmp_path)
    assert len(before) == 7
    assert main(words) == 0
    text = capsys.readouterr().out
    assert table(text) == first
    assert len(first) == 8
    assert "6 crystals are already in" in text
    assert crystal_files(tmp_path) == before
    same_run(tmp_path, six)


def test_asking_for_more_continues(toy_miad, tmp_path, six, capsys):
    assert main(sample_words(toy_miad, tmp_path, "-n", 2)) == 0
    start = (tmp_path / "journal.jsonl").read_text()
    assert main(sample_words(toy_miad, tmp_path, "-n", 6, "--batch-size", 3)) == 0
    assert "2 crystals are already in" in capsys.readouterr().out
    assert (tmp_path / "journal.jsonl").read_text().startswith(start)
    same_run(tmp_path, six)


def test_seed_that_was_drawn_is_kept(toy_miad, tmp_path, capsys):
    words = [w for w in sample_words(toy_miad, tmp_path) if w not in ("--seed", "3")]
    assert main([*words, "-n", "1"]) == 0
    seed = json.loads((tmp_path / "run.json").read_text())["seed"]
    assert f"(seed {seed})" in capsys.readouterr().out
    assert main([*words, "-n", "2"]) == 0
    assert f"(seed {seed})" in capsys.readouterr().out
    assert {s.properties["crysdiff_seed"] for s in journal(tmp_path).values()} == {seed}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (["--seed", "4"], "seed"),
        (["--num-atoms", "3"], "num_atoms"),
        (["--steps", "11"], "steps"),
        (["--elements", "Na-Cl"], "elements"),
        (["--chemical-system", "Na-Cl"], "chemical_system"),
        (["--redraws", "29"], "redraws"),
    ],
)
def test_other_options_in_the_same_folder_are_refused(change, name, toy_miad, six, capsys):
    before = {p.name: p.read_bytes() for p in six.iterdir()}
    assert main(sample_words(toy_miad, six, "-n", 8, *change)) == 1
    streams = capsys.readouterr()
    assert f"({name} differ)" in streams.err
    assert "Choose another output folder" in streams.err
    assert streams.out == ""
    assert {p.name: p.read_bytes() for p in six.iterdir()} == before


def test_other_weights_in_the_same_folder_are_refused(toy_miad, tmp_path, six, capsys):
    model, card = load(toy_miad)
    changed = {n: p * 1.01 for n, p in model.denoiser.named_parameters()}
    weights.save(tmp_path, changed, {k: v for k, v in vars(card).items() if k != "sha256"})
    assert main(sample_words(tmp_path, six, "-n", 8)) == 1
    assert "(weights differ)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "tear", ["garbage", "middle", "one byte", "no line end", "zeros", "nothing"]
)
def test_torn_journal_is_repaired(tear, toy_miad, tmp_path, six):
    """Each kind of damage that a kill or a power cut may leave at the end of the journal."""
    assert main(sample_words(toy_miad, tmp_path, "-n", 4)) == 0
    path = tmp_path / "journal.jsonl"
    content = path.read_bytes()
    last = content.rfind(b"\n", 0, -1) + 1
    path.write_bytes(
        {
            "garbage": content + b'{"index": 4, "struc',
            "middle": content[: (last + len(content)) // 2],
            "one byte": content[: last + 1],
            "no line end": content[:-1],
            "zeros": content + bytes(512),
            "nothing": b"",
        }[tear]
    )
    assert main(sample_words(toy_miad, tmp_path, "-n", 6)) == 0
    same_run(tmp_path, six)


@pytest.mark.parametrize(
    "line", [b'{"index": 4, "struc', b"{}", b'{"index": 4, "structure": {}}', b""]
)
def test_damaged_line_inside_the_journal_is_repaired_or_explained(
    line, toy_miad, tmp_path, six, capsys
):
    assert main(sample_words(toy_miad, tmp_path, "-n", 4)) == 0
    path = tmp_path / "journal.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    if main(sample_words(toy_miad, tmp_path, "-n", 6)):
        assert "journal.jsonl is damaged" in capsys.readouterr().err
    else:
        assert (tmp_path / "crystals.extxyz").read_text() == (six / "crystals.extxyz").read_text()


def test_damaged_record_is_explained(toy_miad, tmp_path, capsys):
    (tmp_path / "run.json").write_text("{")
    assert main(sample_words(toy_miad, tmp_path, "-n", 1)) == 1
    assert "run.json is damaged" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_killed_run_goes_on(kill, toy_miad, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    options = ["-n", 24, "--batch-size", 1, "--steps", 40]
    process = crysdiff(*sample_words(toy_miad, killed, *options), cwd=tmp_path)
    deadline = time.monotonic() + 120
    path = killed / "journal.jsonl"
    while (
        process.poll() is None
        and time.monotonic() < deadline
        and not (path.exists() and path.read_bytes().count(b"\n") > 2)
    ):
        time.sleep(0.01)
    process.send_signal(kill)
    _, err = process.communicate(timeout=60)
    if kill == signal.SIGINT:
        assert process.returncode == 130
        assert "give the same command again" in err
    else:
        assert process.returncode == -signal.SIGKILL, err
    done = path.read_bytes().count(b"\n")
    assert 2 < done < 24
    assert main(sample_words(toy_miad, killed, *options)) == 0
    assert main(sample_words(toy_miad, whole, *options)) == 0
    same_run(killed, whole)


# sample: what cannot be done


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "miat"], "Did you mean 'miad'"),
        (["sample", "miad", "-n", "0"], "num-samples must be a whole number of at least 1, got 0"),
        (["sample", "miad", "-n", "-3"], "got -3"),
    ],
)
def test_nonsense_is_refused_before_weights_are_read(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(tmp_path / "absent"))
    assert main(words) == 1
    streams = capsys.readouterr()
    assert streams.err.startswith("crysdiff sample: ")
    assert message in streams.err
    assert streams.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--composition", "NaCl"], "Installed samplers:"),
        (["--chemical-system", "Na-Xx"], "'Xx' is no chemical element"),
        (["--steps", "0"], "steps must be"),
        (["--seed", "-1"], "seed"),
        (["--redraws", "-1"], "redraws"),
        (["--batch-size", "0"], "batch-size"),
        (["--workers", "0"], "workers"),
        (["--device", "gpu"], "cannot be used"),
        (["--weights", "absent"], "holds no weights"),
    ],
)
def test_bad_options_are_explained_and_may_be_corrected(
    change, message, toy_miad, tmp_path, six, capsys
):
    """The folder must not remember a refused command as the run that it holds."""
    words = sample_words(toy_miad, tmp_path, "-n", 6)
    assert main([*words, *change]) == 1
    assert message in capsys.readouterr().err
    assert main(words) == 0
    same_run(tmp_path, six)


def test_output_that_cannot_be_written_is_refused_before_any_work(toy_miad, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    started = time.monotonic()
    assert (
        main(sample_words(toy_miad, tmp_path / "file" / "out", "-n", 100_000, "--steps", 1000)) == 1
    )
    assert time.monotonic() - started < 60
    streams = capsys.readouterr()
    assert "cannot be written" in streams.err
    assert streams.out == ""


def test_run_without_any_crystal_exits_1(toy_miad, tmp_path, capsys):
    """At -n 1 without redraws some seed fails; the command must say so and can be given again."""
    for seed in range(30):
        folder = tmp_path / str(seed)
        code = main(
            sample_words(
                toy_miad, folder, "-n", 1, "--redraws", 0, "--seed", seed, "--num-atoms", 6
            )
        )
        text = capsys.readouterr().out
        assert (code == 0) == (len(list(folder.glob("*.cif"))) == 1)
        if code:
            break
    assert code == 1
    assert "0 of 1 crystals" in text
    assert "failed for good" in text


# doctor


def test_doctor_names_a_folder_that_hides_ours(tmp_path):
    hiding = tmp_path / "calculators"
    hiding.mkdir()
    (hiding / "__init__.py").write_text("")
    process = crysdiff("doctor", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert f"PROBLEM 'calculators' is imported from {hiding.resolve()}" in out
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
    missing = [
        n for n in registry.names(registry.SAMPLERS) if n != "chggen" and not has_weights(n)
    ]  # it borrows them
    for name in missing:
        assert f"no weights for {name!r}" in out
    assert process.returncode == (1 if missing else 0)
    assert ("Everything is in place." in out) == (not missing)


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
