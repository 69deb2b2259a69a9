"""A predictor beside a constant and a forest, which learn from one table or from several."""

from pathlib import Path

import numpy as np
import pytest
from benchmark_toys import write_table

from ase_crysdiff.campaigns.benchmark.predictor import PredictorOptions, predictor
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext import StructurePredictor

KNOWN = prototypes()
LEARNT = {"NaCl": 5.0, "Cu": 0.0, "SrTiO3": 1.8, "MoS2": 1.7}
ASKED = {"NaCl": 5.1, "MoS2": 1.5}


def table(path: Path, gaps: dict[str, float]) -> Path:
    return write_table(path, [KNOWN[name] for name in gaps], band_gap=gaps.values())


def measured(folder: Path, *training: Path) -> dict:
    options = PredictorOptions(
        predictor="band-gap",
        column="band_gap",
        targets=table(folder / "asked.csv.gz", ASKED),
        training=training,
        output=folder / "result.json",
    )
    return predictor(options).content


def test_errors_are_those_of_the_predictor_and_of_the_median(tmp_path):
    content = measured(tmp_path, table(tmp_path / "learnt.csv.gz", LEARNT))
    said = StructurePredictor("band-gap").predict([KNOWN[name] for name in ASKED])
    truth = np.array(list(ASKED.values()))
    results = content["results"]
    assert results["MAE of band-gap"]["value"] == pytest.approx(np.abs(said - truth).mean(), 1e-3)
    assert results["MAE of constant"]["value"] == pytest.approx(np.abs(1.75 - truth).mean())
    assert 0 < results["MAE of forest"]["value"] < 5
    assert content["targets"]["count"] == 2


def test_several_tables_teach_as_one(tmp_path):
    whole = table(tmp_path / "learnt.csv.gz", LEARNT)
    names = list(LEARNT)
    parts = [
        table(tmp_path / f"{i}.csv.gz", {name: LEARNT[name] for name in names[i : i + 2]})
        for i in (0, 2)
    ]
    one, several = measured(tmp_path, whole), measured(tmp_path, *parts)
    assert several["results"] == one["results"]
    assert several["training"] == {"files": ["0.csv.gz", "2.csv.gz"], "count": 4}


def test_a_table_without_the_column_is_named(tmp_path):
    lacking = write_table(tmp_path / "lacking.csv.gz", [KNOWN["NaCl"]])
    with pytest.raises(InputError, match=r"lacking.csv.gz has no numbers in a column 'band_gap'"):
        measured(tmp_path, table(tmp_path / "learnt.csv.gz", LEARNT), lacking)
