"""Files and folders of users: all kinds with crystals are read, what is left out is named."""

import bz2
import csv
import gzip
import io
import json
import logging
import lzma
import zipfile
from pathlib import Path

import pytest
from ase.build import bulk
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from ase_crysdiff.data.readers import read_all, read_records, read_structure
from ase_crysdiff.errors import InputError
from pymatgen_ext import evaluate, relax

MGO = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.21), ["Mg", "O"], [[0, 0, 0], [0.5] * 3])
CIF = MGO.to(fmt="cif")
POSCAR = """NaCl
1.0
0 2.82 2.82
2.82 0 2.82
2.82 2.82 0
Na Cl
1 1
Direct
0 0 0
.5 .5 .5
"""
VASP4 = POSCAR.replace("Na Cl\n", "")


def fill(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def contents(*paths: Path) -> dict[str, str]:
    """Formula by name of the record, or why there is none."""
    found = {}
    for record in read_all(paths):
        try:
            found[record.name] = record.load().formula
        except InputError as error:
            found[record.name] = str(error)
    return found


def table(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


# CIF files of several blocks, and what surrounds them (item 21)


@pytest.mark.parametrize(
    "text",
    [
        "data_global\n_journal_year 2020\n\n" + CIF + "\ndata_powder_pattern\n_pd_block_id x\n",
        "data_x\n_details\n;\ndata_ were collected at 100 K\n;\n" + CIF.split("\n", 2)[2],
        CIF.replace("data_", "DATA_"),
        "\ufeff" + CIF,
        "\ufeff" + CIF.replace("\n", "\r\n"),
    ],
    ids=["other blocks", "text field", "capitals", "mark", "mark and line ends"],
)
def test_a_file_with_one_crystal_is_one_record(text, tmp_path):
    fill(tmp_path, {"a.cif": text})
    assert contents(tmp_path / "a.cif") == {"a": "Mg4 O4"}


def test_utf_16_is_read(tmp_path):
    fill(tmp_path, {"a.cif": CIF.encode("utf-16"), "POSCAR": POSCAR.encode("utf-16")})
    assert set(contents(tmp_path).values()) == {"Mg4 O4", "Na1 Cl1"}


def test_a_broken_file_among_others_costs_itself_only(tmp_path):
    fill(tmp_path, {"a.cif": "data_x\n_a\n;\nno end\n", "b.cif": CIF, "c.json": '{"sites": 1}'})
    found = contents(tmp_path)
    assert found["b"] == "Mg4 O4"
    assert "has no end" in found["a"]
    assert "no structures" in found["c"]


# Names of files (item 22)


def test_files_of_vasp_in_all_spellings(tmp_path):
    names = ["NaCl_POSCAR", "KCl.POSCAR", "POSCAR.MgO", "CONTCAR-1", "x.vasp", "a-POSCAR-relaxed"]
    fill(tmp_path, dict.fromkeys(names, POSCAR))
    expected = {n.removesuffix(".vasp") for n in names}
    assert contents(tmp_path) == dict.fromkeys(expected, "Na1 Cl1")


def test_runs_of_vasp_are_called_by_their_folders(tmp_path):
    fill(tmp_path, {"A/CONTCAR": POSCAR, "B/CONTCAR": POSCAR, "C/x.cif": CIF, "D/x.cif": CIF})
    found = contents(tmp_path / "A", tmp_path / "B", tmp_path / "C", tmp_path / "D")
    assert list(found) == ["A/CONTCAR", "B/CONTCAR", "C/x", "D/x"]


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_packed_files(ending, pack, tmp_path):
    xyz = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3\nNa 0 0 0\nCl 2 2 2\n'
    files = {
        "a.cif": CIF,
        "POSCAR": POSCAR,
        "b.json": json.dumps(MGO.as_dict()),
        "c.extxyz": xyz,
        "d.csv": table([["id", "cif"], ["row", CIF]]),
        "e.mcif": CIF,
    }
    folder = fill(tmp_path / "f", {f"{n}.{ending}": pack(t.encode()) for n, t in files.items()})
    found = contents(folder)
    assert found == {
        "a": "Mg4 O4",
        "f/POSCAR": "Na1 Cl1",
        "b": "Mg4 O4",
        "c-0": "Na1 Cl1",
        "row": "Mg4 O4",
        "e": "Mg4 O4",
    }


def test_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "generated.zip", "w") as archive:
        for name in ("set/gen_0.cif", "set/gen_1.cif", "README.md", "__MACOSX/set/gen_0.cif"):
            archive.writestr(name, CIF)
        archive.writestr("A/POSCAR", POSCAR)
    expected = {"gen_0": "Mg4 O4", "gen_1": "Mg4 O4", "A/POSCAR": "Na1 Cl1"}
    assert contents(tmp_path / "generated.zip") == expected
    assert contents(tmp_path) == expected
    fill(tmp_path, {"torn.zip": b"PK\x03\x04 no more"})
    with pytest.raises(InputError, match="no readable zip archive"):
        list(read_records(tmp_path / "torn.zip"))


def test_files_of_one_stem_in_a_folder_or_an_archive_keep_their_names(tmp_path):
    fill(tmp_path / "f", {"a.cif": CIF, "a.json": json.dumps(MGO.as_dict()), "b.cif": CIF})
    assert list(contents(tmp_path / "f")) == ["a.cif", "a.json", "b"]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("A/x.cif", "B/x.cif"):
            archive.writestr(name, CIF)
    assert list(contents(tmp_path / "z.zip")) == ["z.zip/A/x.cif", "z.zip/B/x.cif"]


def test_a_folder_says_what_it_left_out(tmp_path, caplog):
    fill(tmp_path, {"a.cif": CIF, "notes.txt": "x", "run/b.cif": CIF, "run.json": "{}", ".x": ""})
    with caplog.at_level(logging.WARNING):
        assert contents(tmp_path) == {"a": "Mg4 O4"}
    assert [r.getMessage() for r in caplog.records] == [f"{tmp_path}: left out notes.txt, run/"]


def test_a_folder_of_folders_is_refused_by_name(tmp_path):
    fill(tmp_path, {"A/CONTCAR": POSCAR, "B/CONTCAR": POSCAR})
    with pytest.raises(InputError, match=r"Left out: A/, B/\."):
        list(read_records(tmp_path))


def test_selected_crystals_are_not_counted_twice(tmp_path):
    fill(tmp_path, {"0000-MgO.cif": CIF, "selected.extxyz": "2\n\n", "crystals.extxyz": "2\n\n"})
    assert contents(tmp_path) == {"0000-MgO": "Mg4 O4"}


# POSCAR without symbols (item 23)


@pytest.mark.parametrize(
    "text",
    [
        VASP4,
        VASP4.replace("NaCl", "Na Cl", 1),
        VASP4.replace("NaCl", "any", 1).replace("0 0 0", "0 0 0 Na").replace(".5\n", ".5 Cl\n"),
        VASP4.replace("NaCl", "any", 1)
        .replace("Direct", "Selective\nDirect")
        .replace("0 0 0", "0 0 0 T T F Na")
        .replace(".5\n", ".5 F F F Cl\n"),
    ],
    ids=["title", "words", "behind coordinates", "behind flags"],
)
def test_symbols_of_vasp_4_are_found(text, tmp_path):
    fill(tmp_path, {"POSCAR": text})
    assert read_structure(tmp_path / "POSCAR").formula == "Na1 Cl1"


@pytest.mark.parametrize("title", ["rock salt", "Na", "NaCl2", "Na Cl relaxed", "", "T F"])
def test_poscar_without_elements_is_refused(title, tmp_path):
    fill(tmp_path, {"POSCAR": VASP4.replace("NaCl", title, 1).replace("1 1\n", "1 1 \n")})
    if title == "T F":  # tritium and fluorine are elements
        assert read_structure(tmp_path / "POSCAR").formula == "H1 F1"
        return
    with pytest.raises(InputError, match="names no elements: line 6 has the numbers of atoms 1 1"):
        read_structure(tmp_path / "POSCAR")


def test_fixed_atoms_of_a_poscar_are_kept(tmp_path):
    text = POSCAR.replace("Direct", "Selective\nDirect").replace("0 0 0", "0 0 0 F F T")
    fill(tmp_path, {"POSCAR": text.replace(".5\n", ".5 T T T\n")})
    found = read_structure(tmp_path / "POSCAR").site_properties["selective_dynamics"]
    assert [list(map(bool, row)) for row in found] == [[False, False, True], [True] * 3]


def test_what_is_no_poscar_is_refused_with_the_reason(tmp_path):
    fill(tmp_path, {"POSCAR": POSCAR.replace("2.82 0 2.82", "2.82 zero 2.82")})
    with pytest.raises(InputError, match="unreadable POSCAR: .*zero"):
        read_structure(tmp_path / "POSCAR")


# Tables (item 24)


def test_tables_of_excel(tmp_path):
    rows = table([["cif", "gap"], [CIF, "7.8"]])
    fill(tmp_path, {"t.csv": b"\xef\xbb\xbf" + rows.encode()})
    (record,) = read_records(tmp_path / "t.csv")
    assert record.load().formula == "Mg4 O4"
    assert record.values == {"gap": 7.8}
    fill(tmp_path, {"t.csv": rows.replace("data_", "# 25 °C\ndata_").encode("latin1")})
    assert contents(tmp_path / "t.csv") == {"0": "Mg4 O4"}
    named = table([["id", "cif"], ["Grüneisen µ", CIF]])
    for encoding in ("cp1252", "utf-8", "utf-16"):
        fill(tmp_path, {"t.csv": named.encode(encoding)})
        assert contents(tmp_path / "t.csv") == {"Grüneisen µ": "Mg4 O4"}


def test_tables_that_are_none_say_what_to_do(tmp_path):
    fill(tmp_path, {"t.csv": "cif;gap\n", "u.csv": "CIF,gap\n", "v.csv": "cif\tgap\n"})
    with pytest.raises(InputError, match="tabs; save it with commas"):
        list(read_records(tmp_path / "v.csv"))
    with pytest.raises(InputError, match="semicolons; save it with commas"):
        list(read_records(tmp_path / "t.csv"))
    with pytest.raises(InputError, match="Write 'CIF' in lower case"):
        list(read_records(tmp_path / "u.csv"))


# JSON of others (item 25)

ENTRY = ComputedStructureEntry(MGO, -48.0, entry_id="mp-1265").as_dict()


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ([ENTRY, ENTRY | {"entry_id": "mp-2"}], ["mp-1265", "mp-2"]),
        ([{"material_id": "mp-1", "structure": MGO.as_dict()}], ["mp-1"]),
        ({"mp-1": MGO.as_dict(), "mp-2": {"structure": MGO.as_dict()}}, ["mp-1", "mp-2"]),
        ({"data": [[MGO.as_dict(), 7.8]], "columns": ["structure", "gap"]}, ["data-0-0"]),
        ([{"id": "a", "cif": CIF}], ["a"]),
        ({"structure": {"0": MGO.as_dict()}, "gap": {"0": 7.8}}, ["0"]),
    ],
    ids=["entries", "with names", "by name", "matbench", "CIF", "pandas"],
)
def test_json_of_others(content, names, tmp_path):
    fill(tmp_path, {"a.json": json.dumps(content)})
    found = contents(tmp_path / "a.json")
    assert [found[name] for name in names] == ["Mg4 O4"] * len(names)


def test_numbers_beside_a_structure_are_its_values(tmp_path):
    fill(tmp_path, {"a.json": json.dumps([ENTRY])})
    (record,) = read_records(tmp_path / "a.json")
    assert record.values["energy"] == -48.0


def test_json_without_structures_says_what_is_expected(tmp_path):
    fill(tmp_path, {"a.json": '{"a": [1, 2], "b": {"c": "d"}}'})
    with pytest.raises(InputError, match="Expected what Structure.as_dict"):
        list(read_records(tmp_path / "a.json"))


# Names of files where crystals are expected (U2)


@pytest.mark.parametrize("call", [relax, evaluate])
def test_a_file_name_is_no_list_of_crystals(call):
    with pytest.raises(InputError, match="got the name 'lfp.cif'. Read the file first"):
        call("lfp.cif")


def test_atoms_are_crystals_everywhere():
    result = evaluate([bulk("MgO", "rocksalt", a=4.2)], hull=None, reference=None)
    assert result["structural_validity"].value == 1.0
