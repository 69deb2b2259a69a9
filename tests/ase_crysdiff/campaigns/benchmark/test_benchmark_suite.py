"""Every benchmark by one command: what is run, kept, left out, told, and what its file says."""

import argparse
from dataclasses import replace

import pytest

from ase_crysdiff import __version__, registry
from ase_crysdiff.campaigns.benchmark.suite.entries import Suite, filled, shipped_suite
from ase_crysdiff.campaigns.benchmark.suite.measuring import AllOptions, all_benchmarks
from ase_crysdiff.campaigns.benchmark.suite.result_file import ResultFile, digest_of_weights
from ase_crysdiff.campaigns.benchmark.suite.rows import Row, rows_of, steps_of
from ase_crysdiff.campaigns.benchmark.suite.running import digest_of_file, run_all
from ase_crysdiff.cli import benchmark as command
from ase_crysdiff.errors import InputError, UnknownNameError

SUITE = shipped_suite()

LIST = """
[data]
"mp/test.csv.gz" = "0123456789abcdef"

[[benchmark]]
name = "broken"
command = "potential dao-p --nonsense"
minutes = 1
quick = ""

[[benchmark]]
name = "needs-data"
command = "csp prototypes --targets {mp/test.csv.gz}"
minutes = 1
quick = "--limit 1"

[[benchmark]]
name = "whole-only"
command = "potential dao-p --only speed"
minutes = 100

[[benchmark]]
name = "speed"
command = "potential dao-p --reference dao-p --only speed --sizes 64"
weights = ["dao-p"]
minutes = 1
quick = "--sizes 8"
"""


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(LIST)
    return path


@pytest.mark.parametrize("quick", [False, True], ids=["whole", "quick"])
@pytest.mark.parametrize("entry", SUITE.entries, ids=lambda e: e.name)
def test_commands_are_understood(entry, quick, tmp_path):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    command.configure(parser)
    places = dict.fromkeys(entry.files(quick), tmp_path)
    options = parser.parse_args([*filled(entry.words(quick), places), "--output", "x.json"])
    assert {"seed"} <= set(vars(options))


def test_names_are_unique_and_everything_is_declared():
    names = [entry.name for entry in SUITE.entries]
    assert len(set(names)) == len(names)
    for entry in SUITE.entries:
        assert set(SUITE.sources(entry)) <= set(SUITE.digests), entry.name
        assert all(digest_of_weights(name) for name in entry.weights), entry.name
        assert entry.minutes > 0


def test_data_are_those_that_are_declared(data):
    for name, digest in SUITE.digests.items():
        assert digest_of_file(data / name) == digest, name


def test_a_list_that_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "list.toml"
    path.write_text("[[benchmark]]\nname = 'x'\nminutes = 1\ncolour = 'blue'\n[data]\n")
    with pytest.raises(InputError, match=r"list\.toml cannot be read as a list of benchmarks"):
        Suite.read(path)


def test_list_runs_nothing(tmp_path):
    found = all_benchmarks(AllOptions(list=True, out=tmp_path / "results"))
    assert found.path is None
    assert not (tmp_path / "results").exists()
    assert "csp-prototypes-unknown" in found.text
    assert "core-hours" in found.text


def test_unknown_names_are_told():
    with pytest.raises(UnknownNameError, match="There is no benchmark 'csp-nothing' in the list"):
        all_benchmarks(AllOptions(only=("csp-nothing",)))


def test_one_that_fails_is_told_and_the_others_run(listed, tmp_path):
    """The same command goes on: what is measured is kept until what it depends on changes."""
    suite, out = Suite.read(listed), tmp_path / "results"
    told = run_all(suite, suite.entries, out, None, quick=True)
    assert told.done == ["speed"]
    assert not told.kept
    assert list(told.failed) == ["broken"]
    assert "--nonsense" in told.failed["broken"]
    assert told.left_out == {
        "needs-data": "it needs the data packs, whose folder CRYSDIFF_DATA names"
    }
    path = out / "quick/speed.json"
    found = ResultFile.read(path)
    assert found.quick
    assert found.version == __version__
    assert found.weights == {"dao-p": digest_of_weights("dao-p")}
    assert found.command.endswith("--sizes 64 --sizes 8")
    assert any(row.value > 0 for row in found.rows.values())
    assert set(found.seconds) == {"processor", "clock"}
    assert found.machine["cores"]
    entry = suite.chosen(["speed"])[0]
    assert any("quick trial" in one for one in found.differences(entry, suite))
    written = path.read_bytes()
    again = run_all(suite, [entry], out, None, quick=True)
    assert again.kept == ["speed"]
    assert not again.done
    assert path.read_bytes() == written


def test_what_depends_on_something_else_is_measured_again(listed, tmp_path):
    suite = Suite.read(listed)
    (entry,) = suite.chosen(["broken"])
    (tmp_path / "quick").mkdir()
    command, rows = entry.shown(quick=True), {"a": Row(1.0)}
    known = ResultFile("broken", command, __version__, "2026-11-29", rows, quick=True)
    known.write(tmp_path / "quick/broken.json")
    assert run_all(suite, [entry], tmp_path, None, quick=True).kept == ["broken"]
    replace(known, version="0.1.0").write(tmp_path / "quick/broken.json")
    told = run_all(suite, [entry], tmp_path, None, quick=True)
    assert not told.kept
    assert list(told.failed) == ["broken"]


def test_what_fails_ends_the_command_with_an_error(listed, tmp_path):
    options = AllOptions(only=("broken",), quick=True, out=tmp_path / "results", suite=listed)
    with pytest.raises(InputError, match=r"Not all could be measured\.\n0 measured, 0 kept"):
        all_benchmarks(options)


def test_quick_on_the_data_packs(data, tmp_path):
    (entry,) = SUITE.chosen(["perov-crysbfn-10"])
    told = run_all(SUITE, [entry], tmp_path, data, quick=True)
    assert told.done == [entry.name], str(told)
    found = ResultFile.read(tmp_path / "quick" / f"{entry.name}.json")
    assert found.rows["curve/1/match_rate"].n == 6
    assert found.steps == 10
    assert found.data == {"perov_5/test.csv.gz": SUITE.digests["perov_5/test.csv.gz"]}


def test_rows_are_named_by_their_path():
    content = {
        "targets": {"count": 9, "file": "x"},
        "results": {"rate": {"value": 0.5, "interval": [0.4, 0.6], "settings": {"a": 1}}},
        "curve": {"1": {"match_rate": {"value": 0.5, "interval": [None, None]}, "rmse": 0.1}},
        "by_prototype": {"known": {"targets": 4, "curve": {"1": {"rmse": 0.2}}}},
        "seconds": {"sampling": 10.0, "per_sample": 0.5},
        "least_distances": [["a", 0.1]],
    }
    assert rows_of(content) == {
        "results/rate": Row(0.5, (0.4, 0.6), 9),
        "curve/1/match_rate": Row(0.5, None, 9),
        "curve/1/rmse": Row(0.1, None, 9),
        "by_prototype/known/targets": Row(4, None, 4),
        "by_prototype/known/curve/1/rmse": Row(0.2, None, 4),
        "seconds per sample": Row(0.5),
    }


def test_rows_of_potentials_and_of_frameworks():
    row = {"name": "forces", "unit": "eV/Å", "values": {"dao-p": 0.1, "chgnet": 0.2}}
    bare = {"name": "crystals", "unit": "1", "values": {"dao-p": 3}}
    potentials = {"results": {"forces": {"title": "x", "rows": [row, bare]}}, "seconds": 3.0}
    assert rows_of(potentials) == {
        "results/forces/forces, eV/Å/dao-p": Row(0.1),
        "results/forces/forces, eV/Å/chgnet": Row(0.2),
        "results/forces/crystals/dao-p": Row(3),
    }
    cell = {"match_rate": 0.5, "interval": [0.4, 0.6], "rmse": 0.2}
    assert rows_of({"draws": 5, "results": {"stol 1": {"1 sample": cell}}}) == {
        "results/stol 1/1 sample/match_rate": Row(0.5, (0.4, 0.6), 5),
        "results/stol 1/1 sample/rmse": Row(0.2, None, 5),
    }


def test_rows_of_textbook_forms():
    form = {"form": "ZnS wurtzite", "space_group": "P6_3mc", "samples_that_are_found": 3}
    assert rows_of({"results": {"all": {"forms": 22, "found": 17}}, "forms": [form]}) == {
        "results/all/forms": Row(22),
        "results/all/found": Row(17),
        "forms/ZnS wurtzite P6_3mc": Row(3),
    }


def test_filled_hosts_may_take_different_numbers_of_evaluations():
    rate = {"value": 0.5, "interval": [0.4, 0.6]}
    content = {
        "targets": {"count": 3},
        "evaluations_per_sample": [20, 50],
        "reconstructed": {"1": rate},
        "largest_host_displacement": 1e-7,
    }
    assert rows_of(content) == {
        "reconstructed/1": Row(0.5, (0.4, 0.6), 3),
        "largest_host_displacement": Row(1e-7, None, 3),
    }
    assert steps_of(content) == 50
    assert steps_of({"evaluations_per_draw": 10}) == 10
    assert steps_of({}) is None


def test_every_kind_is_registered():
    kinds = {entry.words()[0] for entry in SUITE.entries}
    assert kinds <= set(registry.names(registry.BENCHMARKS))


def test_result_files_round_trip(tmp_path):
    path = tmp_path / "x.json"
    rows = {"a": Row(0.5, (0.4, 0.6), 3), "b": Row(None)}
    known = ResultFile("x", "crysdiff", "0.2.0", "2026-11-29", rows, {"d": "1"}, {"w": "2"})
    known.write(path)
    assert ResultFile.read(path) == known
