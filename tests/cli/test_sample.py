"""`crysdiff sample` as a user types it. Weights are those of untrained toys, so draws are often
rejected: --redraws 30.
"""

import json
import signal
import time

import pytest
from pymatgen.core import Lattice, Structure
from sampling_runs import crysdiff, crystal_files, journal, same_run, sample_words, table

from ase_crysdiff import registry
from ase_crysdiff.cli.main import main
from ase_crysdiff.models import weights
from ase_crysdiff.models.generative import load
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.testing.pair_potential import PairPotential


@pytest.fixture(scope="module")
def six(toy_miad, tmp_path_factory):
    """An uninterrupted run of six crystals; not to be changed."""
    folder = tmp_path_factory.mktemp("six") / "run"
    assert main(sample_words(toy_miad, folder, "-n", 6, "--batch-size", 4)) == 0
    return folder


@pytest.mark.parametrize("text", ["energy_above_hull", "energy_above_hull=", "=0"])
def test_a_property_needs_a_wish(toy_miad, tmp_path, text, capsys):
    assert main(sample_words(toy_miad, tmp_path / "run", "--property", text)) == 1
    assert "takes a name and a wish" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


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
    options = ["-n", 12, "--batch-size", 1, "--steps", 20]
    process = crysdiff(*sample_words(toy_miad, killed, *options), cwd=tmp_path)
    path = killed / "journal.jsonl"
    while process.poll() is None and not (path.exists() and path.read_bytes().count(b"\n") > 2):
        time.sleep(0.01)
    process.send_signal(kill)
    _, err = process.communicate()
    if kill == signal.SIGINT:
        assert process.returncode == 130
        assert "give the same command again" in err
    else:
        assert process.returncode == -signal.SIGKILL, err
    done = path.read_bytes().count(b"\n")
    assert 2 < done < 12
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
        (["--composition", "NaCl"], "Installed samplers that can:"),
        (["--chemical-system", "Na-Xx"], "'Xx' is no chemical element"),
        (["--steps", "0"], "steps must be"),
        (["--seed", "-1"], "seed"),
        (["--redraws", "-1"], "redraws"),
        (["--batch-size", "0"], "batch-size"),
        (["--workers", "-1"], "workers"),
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


class Untouchable(Sampler):
    """A sampler that must not be asked for a crystal."""

    def sample(self, request, streams):
        raise AssertionError("drawn before the folder was found to be unusable")


def test_output_that_cannot_be_written_is_refused_before_any_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    registry.register(registry.SAMPLERS, "untouchable", lambda weights, device: Untouchable())
    try:
        assert main(["sample", "untouchable", "-o", str(tmp_path / "file" / "out")]) == 1
    finally:
        registry.unregister(registry.SAMPLERS, "untouchable")
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


# sample: a given cell, and guidance


def test_lattice_is_kept(toy_miad, tmp_path):
    cell = (4.0, 4.5, 5.0, 90.0, 90.0, 100.0)
    assert main(sample_words(toy_miad, tmp_path, "-n", 2, "--lattice", *cell)) == 0
    crystals = [Structure.from_file(path) for path in sorted(tmp_path.glob("*.cif"))]
    assert len(crystals) == 2
    for crystal in crystals:
        assert crystal.lattice.parameters == pytest.approx(cell, abs=1e-3)
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["lattice"] == list(cell)
    other = ["--lattice", 4, 4.5, 5, 90, 90, 101]
    assert main(sample_words(toy_miad, tmp_path, "-n", 2, *other)) == 1


def test_lattice_is_that_of_python(toy_miad, tmp_path):
    from pymatgen_ext.samplers import StructureSampler

    cell = (4.0, 4.5, 5.0, 90.0, 90.0, 100.0)
    assert main(sample_words(toy_miad, tmp_path, "-n", 2, "--lattice", *cell)) == 0
    sampler = StructureSampler("miad", str(toy_miad), "cpu")
    lattice = Lattice.from_parameters(*cell)
    found = sampler.sample(2, lattice=lattice, num_atoms=2, seed=3, redraws=30)
    assert list(journal(tmp_path).values()) == list(found)


@pytest.mark.parametrize(
    "cell",
    [
        (4, 4, 4, 30, 30, 150),
        (4, 4, -4, 90, 90, 90),
        (4, 4, 4, 90, 90, 180),
        (4, 4, "nan", 90, 90, 90),
    ],
)
def test_lattice_that_no_cell_has_is_explained(cell, toy_miad, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(sample_words(toy_miad, folder, "--lattice", *cell)) == 1
    assert "No cell has the lengths (Å) and angles (degrees)" in capsys.readouterr().err
    assert not folder.exists()


@pytest.fixture
def pairs():
    registry.register(registry.POTENTIALS, "pairs", lambda weights, device, dtype: PairPotential())
    yield "pairs"
    registry.unregister(registry.POTENTIALS, "pairs")


def test_scale_without_guidance_is_refused(toy_miad, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(sample_words(toy_miad, folder, "--guidance-scale", 3)) == 1
    assert "--guidance-scale means nothing without --guidance" in capsys.readouterr().err
    assert not folder.exists()


def test_guidance_of_scale_zero_is_none(pairs, toy_miad, tmp_path, six):
    words = ["-n", 6, "--guidance", pairs, "--guidance-scale", 0]
    assert main(sample_words(toy_miad, tmp_path, *words)) == 0
    assert journal(tmp_path) == journal(six)


def test_guidance_steers_is_reported_and_recorded(pairs, toy_miad, tmp_path, six, capsys):
    words = ["-n", 4, "--guidance", pairs, "--guidance-scale", 20]
    assert main(sample_words(toy_miad, tmp_path, *words)) == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["settings"]["guidance"], record["settings"]["guidance_scale"]) == (pairs, 20)
    assert record["last_run"]["guidance"]
    assert journal(tmp_path) != {i: s for i, s in journal(six).items() if i < 4}
    capsys.readouterr()
    assert main(sample_words(toy_miad, tmp_path, "-n", 4)) == 1  # unguided is another run
    assert "(guidance, guidance_scale differ)" in capsys.readouterr().err


def test_unknown_guidance_is_refused_before_the_folder_is_touched(toy_miad, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(sample_words(toy_miad, folder, "--guidance", "chgnett")) == 1
    assert "Did you mean 'chgnet'" in capsys.readouterr().err
    assert not folder.exists()
