"""Journals: a kill at any byte costs the entry that was being written, and no other."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ase_crysdiff.storage import Journal

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
entries = st.lists(st.fixed_dictionaries({"key": st.text(), "result": values}), max_size=6)


@given(entries, st.data())
def test_a_kill_at_any_byte_costs_one_entry_at_most(tmp_path_factory, written, data):
    journal = Journal(tmp_path_factory.mktemp("journal") / "j.jsonl", ("key", "result"))
    journal.add(written)
    content = journal.path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    journal.path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    assert journal.read() == written[:whole]
    journal.add(written[whole:])  # what was lost is done again
    assert journal.read() == written
    assert journal.path.read_bytes() == content


@given(entries, st.data())
def test_a_damaged_byte_costs_its_own_line_and_no_other(tmp_path_factory, written, data):
    journal = Journal(tmp_path_factory.mktemp("journal") / "j.jsonl", ("key", "result"))
    journal.add(written)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    if not lines:
        return
    hit = data.draw(st.integers(0, len(lines) - 1))
    lines[hit] = b"\xff" + lines[hit][1:]
    journal.path.write_bytes(b"".join(lines))
    assert journal.read() == written[:hit] + written[hit + 1 :]


def test_no_file_is_no_entry(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    assert journal.read() == []
    assert not journal.path.exists()


def test_what_is_no_entry_is_skipped_with_a_warning(tmp_path, caplog):
    journal = Journal(tmp_path / "j.jsonl", {"a"})
    journal.add([{"a": 1}, {"a": 2}])
    with journal.path.open("a") as file:
        file.write('not json\n[1]\n{"b": 1}\n{"a": 3')
    assert [e["a"] for e in journal.read()] == [1, 2]
    assert len(caplog.records) == 3
    journal.add([{"a": 3}])
    assert [e["a"] for e in journal.read()] == [1, 2, 3]


def test_an_entry_that_cannot_be_decoded_is_damaged(tmp_path, caplog):
    journal = Journal(tmp_path / "j.jsonl", {"a"})
    journal.add([{"a": "1"}, {"a": "x"}, {"a": "3"}])
    assert journal.decoded(lambda entry: int(entry["a"])) == [1, 3]
    assert len(caplog.records) == 1


def test_numbers_of_numpy_are_numbers(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.add([{"a": np.eye(2), "b": np.int64(3), "c": tmp_path}])
    assert journal.read() == [{"a": [[1, 0], [0, 1]], "b": 3, "c": str(tmp_path)}]


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100])
def test_groups_lose_nothing_when_the_block_is_left(count, tmp_path):
    journal = Journal(tmp_path / "j.jsonl", {"a"})

    def interrupted():
        with journal.grouped() as note:
            for i in range(count):
                note({"a": i})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [e["a"] for e in journal.read()] == list(range(count))
    lines = journal.path.read_text().splitlines()
    assert [json.loads(line)["a"] for line in lines] == list(range(count))
