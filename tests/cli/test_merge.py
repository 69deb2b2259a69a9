"""`crysdiff merge`: the parts of a job array, as one run would have left them."""

import json
import shutil

import pytest
from sampling_runs import same_run, sample_words

from ase_crysdiff import registry
from ase_crysdiff.campaigns.merging import merge
from ase_crysdiff.campaigns.relaxing import RelaxOptions, relax_files
from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.pair_potential import PairPotential


@pytest.fixture(scope="module")
def runs(toy_miad, tmp_path_factory):
    """A run of six crystals, and three that share it out, the last two with one in common; not to
    be changed.
    """
    folder = tmp_path_factory.mktemp("runs")
    assert main(sample_words(toy_miad, folder / "whole", "-n", 6)) == 0
    for name, first, count in (("a", 0, 2), ("b", 2, 3), ("c", 4, 2)):
        words = sample_words(toy_miad, folder / name, "--first", first, "--count", count)
        assert main(words) == 0
    return folder


@pytest.fixture
def parts(runs, tmp_path):
    """Copies of the three."""
    return [shutil.copytree(runs / name, tmp_path / name) for name in "abc"]


def words(parts, output):
    return ["merge", *map(str, parts), "-o", str(output)]


def test_parts_become_the_run(runs, parts, tmp_path, toy_miad, capsys):
    whole = tmp_path / "whole"
    before = {p: p.read_bytes() for part in parts for p in part.iterdir()}
    assert main(words(parts, whole)) == 0
    assert "6 crystals merged, none missing" in capsys.readouterr().out
    same_run(whole, runs / "whole")
    assert {p: p.read_bytes() for part in parts for p in part.iterdir()} == before
    made = {p.name: p.read_bytes() for p in whole.iterdir()}
    assert main(words(parts, whole)) == 0  # again: nothing changes
    assert {p.name: p.read_bytes() for p in whole.iterdir()} == made
    report = json.loads((whole / "run.json").read_text())["last_run"]
    assert (report["asked"], report["made"], report["seed"]) == (6, 6, 3)
    assert main(sample_words(toy_miad, whole, "-n", 6)) == 0  # it goes on there
    assert "6 crystals are already in" in capsys.readouterr().out


def test_parts_that_are_not_finished_say_what_is_missing(runs, parts, tmp_path, toy_miad, capsys):
    journal = parts[1] / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-100])  # still being written
    torn = journal.read_bytes()
    assert main(words(parts[:2], tmp_path / "whole")) == 1
    streams = capsys.readouterr()
    assert f"{parts[1]} lacks 1 of the crystals that it was asked for (4)" in streams.err
    assert "4 crystals merged, 1 missing" in streams.out
    assert journal.read_bytes() == torn  # its job may go on
    assert main(words([parts[0], parts[2]], tmp_path / "other")) == 1
    assert "No folder was asked for 2 crystals before others (2-3)" in capsys.readouterr().err
    assert main(sample_words(toy_miad, parts[1], "--first", 2, "-n", 3)) == 0
    assert main(words(parts, tmp_path / "whole")) == 0
    same_run(tmp_path / "whole", runs / "whole")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--seed", "4"], "seed is 3 in the first, 4 in the other"),
        (["--steps", "11"], "steps is null in the first, 11 in the other"),
    ],
)
def test_other_runs_are_refused(change, message, parts, tmp_path, toy_miad, capsys):
    other = sample_words(toy_miad, tmp_path / "other", "--first", 5, "-n", 1, *change)
    assert main(other) == 0
    assert main(words([*parts, tmp_path / "other"], tmp_path / "whole")) == 1
    streams = capsys.readouterr()
    assert message in streams.err
    assert "same options and the same --seed" in streams.err
    assert not (tmp_path / "whole").exists()


def test_crystals_that_differ_are_refused(parts, tmp_path):
    journal = parts[2] / "journal.jsonl"
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    (entry,) = (e for e in entries if e["index"] == 4)
    entry["structure"]["lattice"]["matrix"][0][0] += 1e-12
    journal.write_text("".join(json.dumps(e) + "\n" for e in entries))
    with pytest.raises(InputError, match=r"Crystal 4 is not the same in .*b and .*c"):
        merge(parts, tmp_path / "whole")
    assert not (tmp_path / "whole").exists()
    merge(parts[:2], tmp_path / "whole")
    with pytest.raises(InputError, match=r"Crystal 4 is not the same in .*whole and .*c"):
        merge(parts, tmp_path / "whole")


def test_what_holds_no_run_is_refused(parts, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no run"):
        merge([*parts, tmp_path / "empty"], tmp_path / "whole")
    (parts[0] / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        merge(parts, tmp_path / "whole")
    with pytest.raises(InputError, match="no folders"):
        merge([], tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


def test_parts_without_a_seed_are_refused(toy_miad, tmp_path, capsys):
    plain = [w for w in sample_words(toy_miad, tmp_path / "a") if w not in ("--seed", "3")]
    assert main([*plain, "--first", "0", "-n", "1"]) == 1
    assert "share a seed" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert main([*plain, "--first", "-1", "--seed", "3"]) == 1
    assert "first must be a whole number of at least 0" in capsys.readouterr().err


@pytest.fixture
def relaxing(tmp_path):
    registry.register(registry.POTENTIALS, "pairs", lambda weights, device, dtype: PairPotential())
    yield lambda name, part: RelaxOptions(
        output=tmp_path / name, potential="pairs", steps=3, part=part
    )
    registry.unregister(registry.POTENTIALS, "pairs")


def test_parts_of_a_relaxation_become_the_whole(relaxing, tmp_path, crystal_files, monkeypatch):
    from ase_crysdiff.relaxation import grouped

    monkeypatch.setattr(grouped, "GROUP", (2, 20))
    files = [crystal_files(7, broken=True)]
    relax_files(files, relaxing("whole", None))
    found = [relax_files(files, relaxing(f"part-{k}", f"{k}/3")) for k in (1, 2, 3)]
    assert sum(one.requested for one in found) == 8
    assert all(one.structures for one in found)
    merged = merge([one.output for one in found], tmp_path / "merged")
    assert len(merged.structures) == 7
    assert [reason.split(":")[0] for reason in merged.failed.values()] == ["broken"]
    assert not merged.missing
    for name in ("crystals.extxyz", "table.csv"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = relax_files(files, relaxing("merged", None))  # it goes on there
    assert (len(again.structures), len(again.failed)) == (7, 1)


@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b"])
def test_a_part_that_does_not_exist_is_refused(part, relaxing, tmp_path, crystal_files):
    with pytest.raises(InputError, match="part is written 3/10 for the third of ten parts"):
        relax_files([crystal_files(1)], relaxing("part", part))
    assert not (tmp_path / "part").exists()
