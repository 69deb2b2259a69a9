import csv
import gzip

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.data.property_tables import labelled, read_rows, rows_of
from ase_crysdiff.errors import InputError


def rocksalt(a=5.0, elements=("Na", "Cl")):
    half = 0.5 * a
    return Structure(
        Lattice([[0, half, half], [half, 0, half], [half, half, 0]]),
        elements,
        [[0, 0, 0], [0.5, 0.5, 0.5]],
    )


def write(path, rows, columns=("material_id", "cif", "gap")):
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path):
    good = [[f"mp-{i}", rocksalt(5 + 0.1 * i).to(fmt="cif"), f"{i}"] for i in range(6)]
    bad = [
        ["missing", rocksalt(6).to(fmt="cif"), ""],
        ["nothing", rocksalt(6).to(fmt="cif"), "NaN"],
        ["words", rocksalt(6).to(fmt="cif"), "about 3"],
        ["infinite", rocksalt(6).to(fmt="cif"), "inf"],
        ["no-cif", "", "1.0"],
        ["torn", "data_x\n_cell_length_a 3", "1.0"],
        ["again", rocksalt(5.2).to(fmt="cif"), "2"],  # mp-2 once more, in the same words
        ["mp-3", rocksalt(7).to(fmt="cif"), "3"],  # the name of another crystal
        ["one", rocksalt(8).to(fmt="cif"), "1"],
        [
            "other",
            (rocksalt(8) * (2, 1, 1)).to(fmt="cif"),
            "4",
        ],  # the crystal above in another cell, with another value
        ["strange", rocksalt(5, ("Na", "Og")).to(fmt="cif"), "1"],
    ]
    return write(tmp_path / "table.csv.gz", good + bad)


def test_every_bad_row_is_named_and_the_others_are_kept(table):
    data, report = labelled(read_rows(table, "gap", "eV"), progress=False)
    assert data.names == tuple(f"mp-{i}" for i in range(6))
    assert data.values.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.crystals.num_atoms.tolist() == [2] * 6
    reasons = dict(report.left_out)
    expected = {
        "missing": "no value",
        "nothing": "no value",
        "words": "not a number",
        "infinite": "not a finite",
        "no-cif": "no structure",
        "torn": "unreadable",
        "again": "as another row: mp-2",
        "mp-3": "name occurs before",
        "one": "contradictory",
        "other": "contradictory",
        "strange": "no element",
    }
    assert reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in reasons[name], (name, reasons[name])
    assert (report.read, report.kept) == (17, 6)
    assert "2 left out: contradictory values of the same crystal" in report.summary()


def test_one_bad_row_in_a_thousand_costs_itself_only():
    structures = [rocksalt(4 + 0.05 * i) for i in range(60)]
    values = [*range(59), None]
    data, report = labelled(rows_of(structures, values), progress=False)
    assert len(data) == 59
    assert report.left_out == (("59", "no value"),)


def test_logarithms_and_elements():
    structures = [rocksalt(5), rocksalt(5.5), rocksalt(6, ("K", "Br"))]
    data, report = labelled(
        rows_of(structures, [-1.0, 10.0, 20.0]), transform="log", elements={11, 17}, progress=False
    )
    assert data.names == ("1",)
    assert "not positive" in dict(report.left_out)["0"]
    assert "does not know: K, Br" in dict(report.left_out)["2"]


def test_unknown_targets_and_other_units_are_refused(tmp_path):
    path = write(
        tmp_path / "t.csv",
        [["a", rocksalt().to(fmt="cif"), "1", "2"]],
        ("id", "cif", "gap (meV)", "bulk"),
    )
    with pytest.raises(InputError, match=r"no column 'band'.*It has \["):
        read_rows(path, "band", "eV")
    with pytest.raises(InputError, match="Did you mean 'bulk'"):
        read_rows(path, "bulkk", "GPa")
    with pytest.raises(InputError, match="is in meV, not in eV"):
        read_rows(path, "gap", "eV")
    assert read_rows(path, "gap", "meV")[0].text == "1"
    with pytest.raises(InputError, match=r"There is no file .*absent\.csv"):
        read_rows(tmp_path / "absent.csv", "gap", "eV")
    for unfit in (tmp_path, tmp_path / "table.txt"):
        (tmp_path / "table.txt").touch()
        with pytest.raises(InputError, match="is no table"):
            read_rows(unfit, "gap", "eV")
    with pytest.raises(InputError, match="No row can be used"):
        labelled(rows_of([None], [1.0]), progress=False)
    with pytest.raises(InputError, match="each structure needs one value"):
        rows_of([rocksalt()], [])


def test_files_beside_the_table(tmp_path):
    rocksalt(5.1).to(filename=str(tmp_path / "a.cif"))
    path = write(
        tmp_path / "t.csv", [["a", "a.cif", "1"], ["b", "b.cif", "2"]], ("id", "file", "gap")
    )
    data, report = labelled(read_rows(path, "gap", "eV"), progress=False)
    assert np.isclose(float(data.crystals.lattice[0].det().abs()), 5.1**3 / 4, rtol=1e-4)
    assert "does not exist" in dict(report.left_out)["b"]


def test_values_may_have_a_unit_of_pymatgen():
    salts = [Structure(Lattice.cubic(a), ["Cs", "Cl"], [[0] * 3, [0.5] * 3]) for a in (4.1, 4.2)]
    data, _ = labelled(rows_of(salts, [s.density for s in salts]), progress=False)
    assert data.values.tolist() == pytest.approx([float(s.density) for s in salts])
