"""`crysdiff compose`, `StructurePredictor.compose`: a hub and a small table become a predictor."""

import csv

import numpy as np
import pytest
from toys import toy_module

from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.models import weights
from ase_crysdiff.predictors.modules.hub import save_module
from ase_crysdiff.testing.crystals import rattled
from pymatgen_ext import StructurePredictor

STRUCTURES = rattled(30, deviation=0.03)
VALUES = [structure.volume / len(structure) for structure in STRUCTURES]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    for seed, name in enumerate(("first", "second", "third")):
        save_module(folder / name, toy_module(name, seed))
    return folder


@pytest.fixture(scope="module")
def composed(hub):
    return StructurePredictor.compose(STRUCTURES, VALUES, unit="Å³", hub=hub, transform="log")


def test_a_composed_predictor_predicts_and_says_what_it_is_made_of(composed):
    assert (composed.target, composed.unit) == ("property", "Å³")
    values, uncertainty = composed.predict(STRUCTURES, return_uncertainty=True)
    assert np.isfinite(values).all()
    assert (uncertainty > 0).all()
    weights_of = composed.card.training["composition"]
    assert set(weights_of) <= {"first", "second", "third"}
    assert sum(weights_of.values()) == pytest.approx(1.0, abs=1e-3)
    results = composed.finetune_report.measured
    assert results["test MAE"]["value"] < results["test error of the median"]["value"]


def test_it_is_saved_and_read_again(composed, tmp_path):
    composed.save(tmp_path / "volume")
    again = StructurePredictor(str(tmp_path / "volume"))
    np.testing.assert_allclose(
        again.predict(STRUCTURES[:5]), composed.predict(STRUCTURES[:5]), rtol=1e-4
    )
    double = STRUCTURES[0].copy()
    double.make_supercell([2, 1, 1])
    assert again.predict(double)[0] == pytest.approx(again.predict(STRUCTURES[0])[0], rel=1e-3)


def test_the_same_seed_gives_the_same_predictor(composed, hub):
    again = StructurePredictor.compose(STRUCTURES, VALUES, unit="Å³", hub=hub, transform="log")
    np.testing.assert_array_equal(again.predict(STRUCTURES), composed.predict(STRUCTURES))


def test_bad_input_is_refused(hub, tmp_path):
    compose = StructurePredictor.compose
    with pytest.raises(InputError, match="No row can be used"):
        compose(STRUCTURES, [-1.0] * 30, unit="eV", hub=hub, transform="log")
    with pytest.raises(InputError, match="transform"):
        compose(STRUCTURES, VALUES, unit="Å³", hub=hub, transform="sqrt")
    with pytest.raises(InputError, match="30 structures and 2 values"):
        compose(STRUCTURES, VALUES[:2], unit="Å³", hub=hub)
    with pytest.raises(IncompatibleError, match="in eV, not in meV"):
        compose(STRUCTURES, VALUES, unit="meV", target="first", hub=hub)
    with pytest.raises(CheckpointError, match="no hub"):
        compose(STRUCTURES, VALUES, unit="Å³", hub=tmp_path / "nothing")
    with pytest.raises(InputError, match="name and a unit"):
        compose(STRUCTURES, VALUES, unit="", hub=hub)


def test_rows_without_a_logarithm_are_left_out_and_named(hub):
    values = [-1.0, *VALUES[1:]]
    found = StructurePredictor.compose(STRUCTURES, values, unit="Å³", hub=hub, transform="log")
    assert found.finetune_report.kept == 29
    ((name, reason),) = found.finetune_report.left_out
    assert name == "0"
    assert "log" in reason


def test_from_a_table_to_a_folder(hub, tmp_path, capsys):
    table = tmp_path / "table.csv"
    with table.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "cif", "volume (Å³)"])
        for i, (structure, value) in enumerate(zip(STRUCTURES, VALUES, strict=True)):
            rows.writerow([f"c{i}", structure.to(fmt="cif", symprec=None), value])
    command = ["compose", str(table), "--property", "volume", "--hub", str(hub)]
    folder = tmp_path / "volume"
    assert main([*command, "--unit", "Å³", "-o", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "30 of 30 rows used" in printed
    assert "from 3 modules" in printed
    assert "test MAE:" in printed
    assert weights.read_card(folder).training["data"] == "table.csv"
    assert main(["predict", str(folder), str(table), "-o", str(tmp_path / "p.csv")]) == 0
    assert main([*command, "--unit", "Å3", "-o", str(tmp_path / "other")]) == 1
    assert "is in Å³, not in Å3" in capsys.readouterr().err
    assert main([*command, "--unit", "Å³", "--seed", "1", "-o", str(folder)]) == 1
    assert "seed" in capsys.readouterr().err
