"""Text of files with mutations: the crystal, or a refusal in words; never another exception, and
never another composition where the file states its formula.
"""

import gzip
import json
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from monty.json import MontyEncoder
from refusals import answer

from ase_crysdiff.crystal.cif.reading import structure_from_cif
from ase_crysdiff.data.readers import read_records
from ase_crysdiff.data.reading.poscar import structure_from_poscar

# The textbook is also read without mutations, by the tests of the reader.
sys.path.insert(0, str(Path(__file__).parents[1] / "ase_crysdiff" / "crystal" / "cif"))
from dialects import OPEN, RIGHT
from textbook_crystals import CRYSTALS

SMALL = [name for name, crystal in CRYSTALS.items() if len(crystal.structure) < 20]
WORDS = [
    "?", ".", "'", '"', ";", "#", "loop_", "data_", "save_", "0", "-1", "1e400", "nan", "inf",
    "0.333", "1/3", "1/0", "0.5(99)", "--1", "(", "x,y,z", "x,x,x", "x/0,y,z", "_cell_length_a",
    "_atom_site_label", "Ho", "D", "Wat", "Fe3+", "99999999999999999999", "é", "\x00", "\ufeff",
]  # fmt: skip
KINDS = ("insert", "replace", "drop", "repeat", "letter")
mutations = st.lists(
    st.tuples(st.sampled_from(KINDS), st.floats(0, 1), st.sampled_from(WORDS)),
    min_size=1,
    max_size=3,
)
crystals = st.sampled_from(SMALL).map(CRYSTALS.__getitem__)


def mutated(text: str, changes: list[tuple[str, float, str]]) -> str:
    """The text with words put in, exchanged, left out, or lines repeated."""
    for kind, where, word in changes:
        if kind == "letter":
            place = int(where * len(text))
            text = text[:place] + word[:1] + text[place + 1 :]
            continue
        separator = "\n" if kind in ("drop", "repeat") else " "
        parts = text.split(separator)
        place = min(int(where * len(parts)), len(parts) - 1)
        if kind == "insert":
            parts.insert(place, word)
        elif kind == "replace":
            parts[place] = word
        elif kind == "drop":
            del parts[place]
        else:
            parts.insert(place, parts[place])
        text = separator.join(parts)
    return text


@given(crystals, st.sampled_from([*RIGHT.values(), *OPEN.values()]), mutations)
def test_mutated_cif(crystal, dialect, changes):
    whole = dialect(crystal)
    text = mutated(whole, changes)
    found = answer(lambda: structure_from_cif(text))
    stated = f"_chemical_formula_sum '{crystal.formula}'\n"
    if found is not None and text.count(stated) == text.count("_chemical_formula_sum") == 1:
        assert found.composition.reduced_formula == crystal.structure.composition.reduced_formula


@given(crystals, mutations)
def test_mutated_poscar(crystal, changes):
    text = mutated(crystal.structure.to(fmt="poscar"), changes)
    found = answer(lambda: structure_from_poscar(text))
    assert found is None or len(found) > 0


@given(
    st.sampled_from(
        ["a.cif", "POSCAR", "a.json", "a.csv", "a.extxyz", "a.zip", "a.cif.gz", "a.db"]
    ),
    st.binary(max_size=200) | st.sampled_from([b"", b"\xff\xfe", b"PK\x03\x04", b"\x1f\x8b\x08"]),
    st.integers(0, 400),
)
def test_bytes_of_any_kind(tmp_path_factory, name, content, cut):
    """Files of bytes and files that break off: every record loads or says why it does not."""
    folder = tmp_path_factory.mktemp("f")
    sound = CRYSTALS["periclase"].structure
    whole = {
        "a.json": json.dumps([sound.as_dict()], cls=MontyEncoder).encode(),
        "a.cif.gz": gzip.compress(sound.to(fmt="cif").encode(), mtime=0),
    }.get(name, sound.to(fmt="cif").encode())
    (folder / name).write_bytes(content if cut % 2 else whole[: cut * 4] + content)
    for record in answer(lambda: list(read_records(folder / name))) or []:
        found = answer(record.load)
        assert found is None or found.composition.reduced_formula == "MgO"
