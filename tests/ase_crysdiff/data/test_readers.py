"""What a folder yields: every crystal once, broken files as one broken entry each."""

import gzip
import json
import pickle

import ase.io
import pytest
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.data.readers import ALL_CRYSTALS, read_records
from ase_crysdiff.data.writing import write
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.folder import SampleFolder
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.testing.crystals import prototypes

CRYSTALS = list(prototypes().values())[:3]


def numbered() -> list[Structure]:
    return [s.copy(properties={"crysdiff_index": i}) for i, s in enumerate(CRYSTALS)]


def formulas(path) -> list[str]:
    return sorted(r.load().composition.reduced_formula for r in read_records(path))


EXPECTED = sorted(s.composition.reduced_formula for s in CRYSTALS)


def test_name_of_the_common_file_is_that_of_the_writer():
    assert ALL_CRYSTALS == SampleFolder.XYZ


def test_folder_that_relax_wrote_yields_every_crystal_once(tmp_path):
    folder = SampleFolder.open(tmp_path, {"a": 1}, 0, lambda: 0)
    folder.add(numbered())
    write(numbered(), {}, tmp_path / SampleFolder.XYZ)
    write(numbered(), {}, tmp_path / "table.csv")
    assert {p.name for p in tmp_path.iterdir()} >= {
        "run.json",
        "journal.jsonl",
        "table.csv",
        "crystals.extxyz",
    }
    assert formulas(tmp_path) == EXPECTED


def test_common_file_is_read_where_there_are_no_cif_files(tmp_path):
    write(numbered(), {}, tmp_path / SampleFolder.XYZ)
    write(numbered(), {}, tmp_path / "table.csv")
    assert formulas(tmp_path) == EXPECTED


def test_other_extxyz_files_beside_cif_files_are_read(tmp_path):
    write(numbered()[:1], {}, tmp_path)
    write(numbered()[1:], {}, tmp_path / "more.extxyz")
    assert formulas(tmp_path) == EXPECTED


def test_table_without_cif_column_is_refused_by_name_only(tmp_path):
    write(numbered(), {}, tmp_path)
    (tmp_path / "table.csv").write_text("formula,atoms\nCu,1\n")
    assert formulas(tmp_path) == EXPECTED
    with pytest.raises(InputError, match="no column 'cif'"):
        list(read_records(tmp_path / "table.csv"))


def test_sample_set_as_json(tmp_path):
    SampleSet(numbered(), Report("toy", "", 0, 3, 3, 0)).write(tmp_path / "set.json")
    (tmp_path / "run.json").write_text(json.dumps({"seed": 0}))
    assert formulas(tmp_path) == EXPECTED


def test_every_block_of_a_cif_file(tmp_path):
    text = "".join(s.to(fmt="cif") for s in CRYSTALS)
    (tmp_path / "all.cif").write_text(text)
    records = list(read_records(tmp_path / "all.cif"))
    assert [r.name for r in records] == ["all-0", "all-1", "all-2"]
    assert [r.load().composition.reduced_formula for r in records] == [
        s.composition.reduced_formula for s in CRYSTALS
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.cif", b""),
        ("garbage.cif", b"\x00\xff\x00"),
        ("empty.extxyz", b""),
        ("torn.extxyz", b'5\nLattice="1 0 0'),
        ("torn.csv.gz", gzip.compress(b"id,cif\n1,x\n" * 50, mtime=0)[:-9]),
        ("bad.json", b'{"sites": ['),
        ("bad.db", b"not a database"),
    ],
)
def test_broken_file_costs_itself_only(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    ase.io.write(tmp_path / "zz.extxyz", structure_to_atoms(CRYSTALS[0]), format="extxyz")
    records = list(read_records(tmp_path))
    good = [r for r in records if r.name.startswith("zz")]
    assert len(good) == 1
    assert good[0].load().composition.reduced_formula == "Cu"
    broken = [r for r in records if not r.name.startswith("zz")]
    assert broken
    with pytest.raises(Exception, match=r"."):
        broken[-1].load()


def test_records_travel_to_other_processes(tmp_path):
    write(numbered(), {}, tmp_path)
    write(numbered(), {}, tmp_path / "more.extxyz")
    write(numbered(), {}, tmp_path / "more.db")
    for record in read_records(tmp_path):
        assert len(pickle.loads(pickle.dumps(record)).load()) > 0  # noqa: S301
