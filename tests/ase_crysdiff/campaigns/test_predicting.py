"""A property of the crystals of files, as Python calls it, with a predictor of known answers."""

import csv
import math
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest

from ase_crysdiff.campaigns.predicting import predict_files, predict_properties
from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes


class Counting:
    """Its property is the number of atoms; it refuses copper."""

    name, target, unit = "counting", "atoms", "1"
    report = None

    def predict(self, structures, *, return_uncertainty, progress):
        values = np.array([math.nan if _refused(s) else float(len(s)) for s in structures])
        refused = {i: "copper" for i, s in enumerate(structures) if _refused(s)}
        if len(refused) == len(structures):
            raise InputError("none of these can be used")
        odd = {i: "an odd number" for i, value in enumerate(values) if value % 2 == 1}
        self.report = SimpleNamespace(refused=refused, remarks=odd)
        return values, values / 10

    def annotated(self, structure, value, uncertainty, remark):
        return structure.copy(properties={"atoms": value, "atoms_uncertainty": uncertainty})


def _refused(structure):
    return structure is None or structure.composition.reduced_formula == "Cu"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "cif", "known"])
        for name in ("NaCl", "Cu", "SrTiO3"):
            structure = prototypes()[name]
            rows.writerow([name, structure.to(fmt="cif"), len(structure) + 1])
        rows.writerow(["broken", "data_nothing", 3])
    return path


def test_table_holds_values_and_reasons(table, tmp_path, capsys):
    output = tmp_path / "out" / "table.csv"
    found = predict_files(Counting(), [table], output)
    assert found.names == ["NaCl", "Cu", "SrTiO3", "broken"]
    assert found.values[[0, 2]].tolist() == [2, 5]
    assert np.isnan(found.values[[1, 3]]).all()
    assert found.reasons.keys() == {1, 3}
    assert found.reasons[1] == "copper"
    assert found.comparison is None
    rows = list(csv.DictReader(output.open()))
    assert [row["atoms (1)"] for row in rows] == ["2", "", "5", ""]
    assert [row["remark"] for row in rows[:3]] == ["", "copper", "an odd number"]
    assert found.remarks == {2: "an odd number"}
    assert capsys.readouterr().out == ""


def test_crystals_are_annotated(table, tmp_path):
    output = tmp_path / "out.extxyz"
    predict_files(Counting(), [table], output)
    frames = ase.io.read(output, ":")
    assert [f.info["atoms"] for f in frames if "atoms" in f.info and f.info["atoms"] > 0] == [2, 5]


class Weighing(Counting):
    """Its property is the number of elements."""

    name, target, unit = "weighing", "elements", "1"

    def predict(self, structures, *, return_uncertainty, progress):
        values, spread = super().predict(
            structures, return_uncertainty=return_uncertainty, progress=progress
        )
        kinds = [math.nan if s is None else len(s.composition) for s in structures]
        return np.where(np.isnan(values), np.nan, kinds), spread

    def annotated(self, structure, value, uncertainty, remark):
        return structure.copy(properties={**structure.properties, "elements": value})


def test_several_properties_share_a_table_and_a_file(table, tmp_path):
    found = predict_properties([Counting(), Weighing()], [table], tmp_path / "out.csv")
    assert [one.values[2] for one in found] == [5, 3]
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["atoms (1)"] for row in rows] == ["2", "", "5", ""]
    assert [row["elements (1)"] for row in rows] == ["2", "", "3", ""]
    assert rows[1]["remark of atoms"] == rows[1]["remark of elements"] == "copper"
    assert rows[0]["uncertainty of elements (1)"] == "0.2"
    with pytest.raises(InputError, match="Two predictors are of atoms"):
        predict_properties([Counting(), Counting()], [table], tmp_path / "out.csv")


def test_a_property_among_the_files_says_how_to_ask_for_several(table, tmp_path, capsys):
    words = ["predict", "band-gap", "formation-energy", str(table), "-o", str(tmp_path / "o.csv")]
    assert main(words) != 0
    assert "crysdiff predict band-gap,formation-energy FILES" in capsys.readouterr().err


def test_known_values_are_compared_and_pictured(table, tmp_path):
    found = predict_files(Counting(), [table], tmp_path / "out.csv", compare="known")
    assert found.comparison["MAE"]["value"] == pytest.approx(1)
    assert found.comparison["error of the median"]["value"] == pytest.approx(1.5)
    assert found.comparison["known, not predicted"] == 2
    assert found.comparison["parity plot"] == "out.svg"
    assert "<svg" in (tmp_path / "out.svg").read_text()


def test_a_column_that_nobody_has_is_refused(table, tmp_path):
    with pytest.raises(InputError, match="has numbers in a column 'absent'"):
        predict_files(Counting(), [table], tmp_path / "out.csv", compare="absent")


def test_an_unknown_ending_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.csv or \.extxyz"):
        predict_files(Counting(), [tmp_path / "absent"], tmp_path / "out.txt")


def test_nothing_usable_is_no_error(tmp_path):
    path = tmp_path / "copper.cif"
    prototypes()["Cu"].to(filename=str(path))
    found = predict_files(Counting(), [path], tmp_path / "out.csv")
    assert found.reasons == {0: "none of these can be used"}
