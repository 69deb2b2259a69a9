"""Folders that remember: settings compared value by value, artefacts complete or absent."""

import json

import numpy as np
import pytest

from ase_crysdiff.errors import InputError
from ase_crysdiff.storage import Store

SETTINGS = {"steps": 50, "sampling": {"corrections": (1, 2), "eta": 0.5}, "limit": None}


def test_the_same_settings_go_on(tmp_path):
    Store(tmp_path / "a" / "run", SETTINGS)
    again = Store(
        tmp_path / "a" / "run", {**SETTINGS, "sampling": {"eta": 0.5, "corrections": [1, 2]}}
    )
    assert again.settings["sampling"]["corrections"] == [1, 2]


def test_a_setting_that_is_none_may_be_absent_in_an_older_record(tmp_path):
    Store(tmp_path, {"steps": 50})
    Store(tmp_path, {"steps": 50, "guidance": None})


def test_other_settings_are_refused_with_old_and_new_values(tmp_path):
    Store(tmp_path, SETTINGS)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(InputError) as caught:
        Store(tmp_path, {**SETTINGS, "steps": 99, "sampling": {"corrections": (1, 2), "eta": 1.0}})
    message = str(caught.value)
    assert "other settings (sampling, steps differ)" in message
    assert "sampling.eta was 0.5, is now 1.0" in message
    assert "steps was 50, is now 99" in message
    assert "corrections" not in message
    assert "Choose another output folder" in message
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_setting_that_is_gone_or_new_is_a_difference(tmp_path):
    Store(tmp_path, {"a": 1})
    with pytest.raises(InputError, match=r"a was 1, is now null; b was null, is now 2"):
        Store(tmp_path, {"b": 2})


def test_a_long_value_is_cut_in_the_message(tmp_path):
    Store(tmp_path, {"text": "x" * 1000})
    with pytest.raises(InputError) as caught:
        Store(tmp_path, {"text": "y" * 1000})
    assert len(str(caught.value)) < 500


def test_facts_are_compared_and_remembered(tmp_path):
    Store(tmp_path, SETTINGS, {"seed": 7})
    assert Store(tmp_path, SETTINGS).facts["seed"] == 7
    with pytest.raises(InputError, match=r"\(seed differ\): seed was 7, is now 8"):
        Store(tmp_path, SETTINGS, {"seed": 8})


def test_notes_are_not_compared_and_survive(tmp_path):
    Store(tmp_path, SETTINGS, {"seed": 7}).note(last_run={"seconds": 3})
    again = Store(tmp_path, SETTINGS, {"seed": 7})
    assert again.facts["last_run"] == {"seconds": 3}
    again.note(last_run={"seconds": 4})
    assert Store.record(tmp_path)["last_run"] == {"seconds": 4}
    assert Store.record(tmp_path)["seed"] == 7


def test_a_record_of_settings_alone_as_written_before_is_read(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"steps": 50, "limit": None}))
    Store(tmp_path, {"steps": 50})
    with pytest.raises(InputError, match="steps was 50, is now 51"):
        Store(tmp_path, {"steps": 51})


@pytest.mark.parametrize("content", ["{", "[1]", "null", '"text"', ""])
def test_a_damaged_record_says_what_to_do(content, tmp_path):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json is damaged .*Choose another output folder"):
        Store(tmp_path, SETTINGS)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Store(tmp_path / "file" / "run", SETTINGS)


def test_without_settings_there_is_no_record(tmp_path):
    store = Store(tmp_path / "stage")
    store.keep("found", [1])
    assert {p.name for p in store.path.iterdir()} == {"found.json"}


def test_the_digest_knows_the_settings_and_not_their_order(tmp_path):
    a = Store(tmp_path / "a", {"x": 1, "y": 2})
    b = Store(tmp_path / "b", {"y": 2, "x": 1})
    c = Store(tmp_path / "c", {"x": 1, "y": 3})
    assert a.digest == b.digest != c.digest


def test_an_artefact_is_made_once(tmp_path):
    store, made = Store(tmp_path, SETTINGS), []

    def make():
        made.append(1)
        return {"numbers": np.arange(3), "one": np.float32(0.5)}

    first = store.made_once("stage", make)
    assert first == {"numbers": [0, 1, 2], "one": 0.5}
    assert Store(tmp_path, SETTINGS).made_once("stage", make) == first
    assert len(made) == 1


def test_an_absent_artefact_is_none_and_a_damaged_one_says_what_to_do(tmp_path):
    store = Store(tmp_path, SETTINGS)
    assert store.find("stage") is None
    store.file("stage").write_text('{"a": ')
    with pytest.raises(InputError, match=r"stage\.json is damaged .*Remove that file"):
        store.find("stage")
    with pytest.raises(InputError, match="damaged"):
        store.made_once("stage", dict)


def test_what_a_kill_left_of_an_artefact_does_not_count(tmp_path):
    store = Store(tmp_path, SETTINGS)
    (tmp_path / "stage.json.part").write_text('{"a": ')
    assert not store.has("stage")
    assert store.made_once("stage", lambda: 5) == 5


def test_what_cannot_be_written_leaves_the_older_artefact(tmp_path):
    store = Store(tmp_path, SETTINGS)
    store.keep("stage", 1)
    with pytest.raises(ZeroDivisionError):
        store.keep("stage", object(), encode=lambda value: 1 / 0)
    assert store.find("stage") == 1


def test_a_removed_store_leaves_foreign_files(tmp_path):
    for keep in (False, True):
        store = Store(tmp_path / str(keep), SETTINGS)
        store.journal("draws").add([{"a": 1}])
        if keep:
            (store.path / "mine.txt").write_text("")
        store.remove("draws", "never-written")
        assert store.path.exists() is keep
    assert [p.name for p in store.path.iterdir()] == ["mine.txt"]
