"""`crysdiff finetune` and `crysdiff predict`: from a table to a predictor to another table."""

import csv
import json
from itertools import product

import pytest
from ase.io import read
from toys import write_encoder

from ase_crysdiff.cli.main import main
from ase_crysdiff.models import weights
from ase_crysdiff.testing.crystals import rattled

ELEMENTS = [3, 8, 11, 12, 13, 14, 15, 16, 17, 22, 29, 38, 42]


@pytest.fixture
def encoders(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(tmp_path))
    write_encoder(tmp_path, ELEMENTS)
    return tmp_path


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    with path.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "cif", "volume (Å³)", "volume_of_all"])
        for i, structure in enumerate(rattled(30, deviation=0.03)):
            cif = structure.to(fmt="cif", symprec=None)
            rows.writerow(
                [
                    f"c{i}",
                    cif,
                    "" if i == 7 else structure.volume / len(structure),
                    structure.volume / len(structure),
                ]
            )
    return path


def finetune(table, folder, *more):
    return main(
        [
            "finetune",
            "--data",
            str(table),
            "--target",
            "volume",
            "--unit",
            "Å³",
            "--encoder",
            "toy-encoder",
            "-o",
            str(folder),
            "--epochs",
            "2",
            "--members",
            "2",
            *more,
        ]
    )


def test_from_a_table_to_a_predictor_to_a_table(encoders, table, tmp_path, capsys):
    assert finetune(table, tmp_path / "volume") == 0
    printed = capsys.readouterr().out
    assert "29 of 30 rows used" in printed
    assert "c7: no value" in printed
    assert "test MAE:" in printed
    assert "test error of the median:" in printed
    card = weights.read_card(tmp_path / "volume")
    assert card.name == "volume"
    assert card.training["table"] == {"read": 30, "kept": 29}
    held_out = list(csv.DictReader((tmp_path / "volume" / "held-out.csv").open()))
    assert len(held_out) == card.training["rows"]["test"]
    assert "</svg>" in (tmp_path / "volume" / "parity.svg").read_text()

    assert (
        main(
            [
                "predict",
                str(tmp_path / "volume"),
                str(table),
                "-o",
                str(tmp_path / "p.csv"),
                "--compare",
                "volume_of_all",
            ]
        )
        == 0
    )
    compared = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert compared["MAE"]["rows"] == 30
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "p.csv").open())}
    assert len(rows) == 30
    for row in held_out:  # what was stored is what is read again
        assert float(rows[row["name"]]["volume (Å³)"]) == pytest.approx(
            float(row["predicted"]), rel=1e-4
        )
        assert float(rows[row["name"]]["uncertainty (Å³)"]) == pytest.approx(
            float(row["uncertainty"]), rel=1e-2
        )

    assert (
        main(["predict", str(tmp_path / "volume"), str(table), "-o", str(tmp_path / "p.extxyz")])
        == 0
    )
    assert read(tmp_path / "p.extxyz", 3).info["crysdiff_volume_unit"] == "Å³"
    assert main(["list"]) == 0
    error = weights.read_card(weights.find("formation-energy")).measured["results"]["MAE"]["value"]
    assert f"formation_energy in eV/atom, MAE {error:.3g}" in capsys.readouterr().out


def test_a_finished_run_is_measured_again_and_another_table_refused(
    encoders, table, tmp_path, capsys
):
    assert finetune(table, tmp_path / "volume") == 0
    digest = weights.read_card(tmp_path / "volume").sha256
    steps = sorted(p.name for p in (tmp_path / "volume" / "training").glob("step-*"))
    assert finetune(table, tmp_path / "volume") == 0
    assert weights.read_card(tmp_path / "volume").sha256 == digest
    assert sorted(p.name for p in (tmp_path / "volume" / "training").glob("step-*")) == steps
    table.write_text(table.read_text().replace("c3,", "d3,"))
    assert finetune(table, tmp_path / "volume") == 1
    assert "data differ" in capsys.readouterr().err


@pytest.mark.parametrize("models", [(), ("--models", "network")])
def test_cross_validation(encoders, table, tmp_path, models):
    folds = ("--folds", "3", "--split", "composition")
    assert finetune(table, tmp_path / "volume", *folds, *models) == 0
    results = weights.read_card(tmp_path / "volume").measured["results"]
    assert results["3-fold cross-validation MAE"]["rows"] == 29
    assert len(results["3-fold cross-validation MAE of each fold"]["value"]) == 3
    beside = results["3-fold cross-validation error of a forest on composition and density"]
    assert beside["rows"] == 29
    assert beside["value"] < results["3-fold cross-validation error of the median"]["value"]
    rows = list(csv.DictReader((tmp_path / "volume" / "held-out.csv").open()))
    assert len(rows) == 29
    assert {row["fold"] for row in rows} == {"0", "1", "2"}
    assert weights.read_card(tmp_path / "volume").training["rows"]["test"] == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["--target", "colour"], "no column 'colour'"),
        (["--unit", "nm³"], "is in Å³, not in nm³"),
        (["--encoder", "absent"], "no weights for 'absent'"),
        (["--split", "scaffold"], "random, composition, chemical-system"),
        (["--loss", "l3"], "l1, huber, mse"),
    ],
)
def test_wrong_requests_are_explained(encoders, table, tmp_path, capsys, changes, reason):
    assert finetune(table, tmp_path / "volume", *changes) == 1
    assert reason in capsys.readouterr().err


def test_formulas_beside_a_table(encoders, table, tmp_path, capsys):
    """They are another run than without; what nobody would read is refused before anything is."""
    path = tmp_path / "formulas.csv"
    contents = product(range(1, 6), range(1, 5), (7, 11, 13))
    lines = [f"Na{a}Cl{b}O{c},{a + b / c}" for a, b, c in contents]
    path.write_text("\n".join(["formula,volume (Å³)", *lines, "Xx2O,1", "salt,2"]) + "\n")
    more = ("--models", "forest", "--formulas", str(path))
    assert finetune(table, tmp_path / "volume", *more) == 0
    assert "60 formulas used, 2 left out" in capsys.readouterr().out
    card = weights.read_card(tmp_path / "volume")
    assert card.training["formulas"] == {"read": 62, "kept": 60}
    assert finetune(table, tmp_path / "volume", "--models", "forest") == 1
    assert "formulas differ" in capsys.readouterr().err
    assert finetune(table, tmp_path / "other", "--models", "network", *more[2:]) == 1
    assert "neither" in capsys.readouterr().err
    path.write_text("\n".join(["formula,volume (Å³)", *lines[:9]]) + "\n")
    assert finetune(table, tmp_path / "other", *more) == 1
    assert "at least 50" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_predict_keeps_going(encoders, tmp_path, capsys):
    rattled(2)[1].to(filename=str(tmp_path / "good.cif"))
    (tmp_path / "bad.cif").write_text("data_nothing\n")
    output = tmp_path / "p.csv"
    command = [
        "predict",
        "formation-energy",
        str(tmp_path / "good.cif"),
        str(tmp_path / "bad.cif"),
        "-o",
        str(output),
    ]
    assert main(command) == 0
    assert "bad" in capsys.readouterr().err
    rows = list(csv.DictReader(output.open()))
    assert rows[0]["formation_energy (eV/atom)"]
    assert rows[1]["remark"]
    assert main(["predict", "formation-energy", str(tmp_path / "bad.cif"), "-o", str(output)]) == 1
    assert main(["predict", "formation-energy", str(tmp_path / "good.cif"), "-o", "p.txt"]) == 1
    assert main([*command, "--compare", "energy"]) == 1
    assert "no table among the files" in capsys.readouterr().err.lower()
