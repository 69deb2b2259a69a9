"""Folders of samples: they go on after a kill, refuse other runs, and are read from before."""

import json

import pytest
from pymatgen.core import Structure

from ase_crysdiff.data.folder import CrystalFolder
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.folder import SampleFolder
from ase_crysdiff.sampling.sample_set import Report
from ase_crysdiff.storage import Store
from ase_crysdiff.testing.crystals import prototypes

SETTINGS = {"sampler": "toy", "steps": 5}


def numbered() -> list[Structure]:
    crystals = list(prototypes().values())[:3]
    return [s.copy(properties={"crysdiff_index": i}) for i, s in enumerate(crystals)]


def test_the_seed_is_drawn_once_and_kept(tmp_path):
    drawn = iter([17, 18])
    assert SampleFolder.open(tmp_path, SETTINGS, None, lambda: next(drawn)).seed == 17
    assert SampleFolder.open(tmp_path, SETTINGS, None, lambda: next(drawn)).seed == 17
    assert SampleFolder.open(tmp_path, SETTINGS, 17, lambda: next(drawn)).seed == 17
    assert next(drawn) == 18


def test_other_seed_and_other_settings_are_named_together(tmp_path):
    SampleFolder.open(tmp_path, SETTINGS, 17, lambda: 0)
    with pytest.raises(InputError, match=r"\(seed, steps differ\): seed was 17, is now 3; steps"):
        SampleFolder.open(tmp_path, {**SETTINGS, "steps": 6}, 3, lambda: 0)


def test_finished_folder_goes_on_and_keeps_failures(tmp_path):
    folder = SampleFolder.open(tmp_path, SETTINGS, 17, lambda: 0)
    folder.on_draws([], numbered()[:2])
    folder.finish(range(2), Report("toy", "", 17, 2, 2, 0, failed={5: "atoms too close"}))
    again = SampleFolder.open(tmp_path, SETTINGS, None, lambda: 0)
    assert sorted(again.done) == [0, 1]
    again.add(numbered()[2:])
    samples = again.finish(range(3), Report("toy", "", 17, 3, 3, 0, failed={5: "atoms too close"}))
    assert [s.properties["crysdiff_index"] for s in samples] == [0, 1, 2]
    assert SampleFolder.failures(tmp_path) == {5: "atoms too close"}


def test_a_folder_of_the_version_before_is_read(tmp_path):
    """The layout of run.json and journal.jsonl is a promise."""
    (tmp_path / "run.json").write_text(
        json.dumps({"seed": 5, "settings": SETTINGS, "last_run": {"failed": {"2": "cell"}}})
    )
    entry = {"index": 1, "structure": numbered()[1].as_dict()}
    (tmp_path / "journal.jsonl").write_text(json.dumps(entry) + "\n" + '{"index": 2, "str')
    folder = SampleFolder.open(tmp_path, SETTINGS, None, lambda: 0)
    assert (folder.seed, list(folder.done)) == (5, [1])
    assert folder.done[1] == numbered()[1]
    assert SampleFolder.failures(tmp_path) == {2: "cell"}


def test_what_is_written_has_the_layout_of_before(tmp_path):
    folder = SampleFolder.open(tmp_path, SETTINGS, 5, lambda: 0)
    folder.add(numbered())
    folder.finish(range(3), Report("toy", "", 17, 3, 3, 0))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record.keys() == {"seed", "settings", "last_run"}
    assert (record["seed"], record["settings"]) == (5, SETTINGS)
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [line.keys() for line in lines] == [{"index", "structure"}] * 3


@pytest.mark.parametrize("record", ['{"settings": {}}', '{"seed": "x", "settings": {}}', "{"])
def test_damaged_record_says_what_to_do(record, tmp_path):
    (tmp_path / "run.json").write_text(record)
    with pytest.raises(InputError, match=r"run\.json is damaged .*Choose another output folder"):
        SampleFolder.open(tmp_path, {}, None, lambda: 0)


def test_damaged_crystal_costs_itself(tmp_path, caplog):
    SampleFolder.open(tmp_path, SETTINGS, 17, lambda: 0).add(numbered())
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_text().splitlines()
    lines[1] = json.dumps({"index": 1, "structure": {"lattice": "none"}})
    journal.write_text("\n".join(lines) + "\n")
    assert sorted(SampleFolder.open(tmp_path, SETTINGS, 17, lambda: 0).done) == [0, 2]
    assert "damaged line" in caplog.text


def test_failures_of_folders_of_another_kind_are_none(tmp_path):
    assert SampleFolder.failures(tmp_path / "absent") == {}
    (tmp_path / "run.json").write_text("{")
    assert SampleFolder.failures(tmp_path) == {}


def test_crystals_without_a_seed_have_no_seed_in_their_record(tmp_path):
    """Relaxations depend on no seed; one made up for them once stood in their folders."""
    CrystalFolder(Store(tmp_path, SETTINGS)).add(numbered())
    assert json.loads((tmp_path / "run.json").read_text()) == {"settings": SETTINGS}


def test_a_seed_that_was_made_up_before_is_not_compared(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"seed": 0, "settings": SETTINGS}))
    CrystalFolder(Store(tmp_path, SETTINGS)).add(numbered())
    assert sorted(CrystalFolder(Store(tmp_path, SETTINGS)).done) == [0, 1, 2]
