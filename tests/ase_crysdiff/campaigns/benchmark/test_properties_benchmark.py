"""Errors on published partitions, for a small table in the layout of the packs."""

import csv
import gzip
import json

import numpy as np
import pytest

from ase_crysdiff.campaigns.benchmark.properties import systems as systems_room
from ase_crysdiff.campaigns.benchmark.properties.measuring import (
    PropertiesOptions,
    fewer,
    properties,
)
from ase_crysdiff.campaigns.benchmark.properties.systems import SYSTEMS, encoded
from ase_crysdiff.campaigns.benchmark.properties.table import markdown, summarised, wins
from ase_crysdiff.data.splits import Split
from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.testing.crystals import rattled


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Volumes per atom under the name of a published task."""
    folder = tmp_path_factory.mktemp("packs")
    (folder / "tasks").mkdir()
    parts = ["train"] * 7 + ["val"] * 2 + ["test"] * 2
    with gzip.open(folder / "tasks/poisson_ratio.csv.gz", "wt", newline="") as file:
        table = csv.writer(file)
        splits = [f"split_{k}" for k in range(5)]
        table.writerow(["material_id", "formula", "n_atoms", "value", *splits, "cif"])
        for i, s in enumerate(rattled(44, deviation=0.03)):
            rolled = [parts[(i + 3 * k) % 11] for k in range(5)]
            formula, value = s.composition.reduced_formula, s.volume / len(s)
            table.writerow([f"mp-{i}", formula, len(s), value, *rolled, s.to(fmt="cif")])
    return folder


def options(tmp_path, **more):
    return PropertiesOptions(
        **{"tasks": ("poisson_ratio",), "folds": 2, "output": tmp_path / "p.json", **more}
    )


def test_systems_side_by_side_and_resumed(packs, tmp_path, monkeypatch):
    monkeypatch.setenv("CRYSDIFF_DATA", str(packs))
    found = properties(options(tmp_path, keep=tmp_path / "kept"))
    result = found.content["results"]["poisson_ratio"]
    assert set(result) == {"constant", "forest", "strict", "frozen"}
    assert result["frozen"]["mean"] < result["constant"]["mean"]
    assert result["constant"]["mean"] == pytest.approx(
        np.mean(result["constant"]["each"]), rel=1e-3
    )
    assert found.content["wins"]["frozen"]["constant"] == "1 of 1"
    assert found.content["wins"]["frozen"]["CGCNN"] == "0 of 1"  # volumes are no Poisson ratios
    assert "0.033" in found.text
    assert "| `poisson_ratio` | 1 |" in (tmp_path / "p.md").read_text()
    assert json.loads((tmp_path / "p.json").read_text()) == found.content

    def fail(*_):
        raise AssertionError("measured again")

    for name in ("constant", "forest", "strict", "frozen"):
        monkeypatch.setitem(SYSTEMS, name, fail)
    again = properties(options(tmp_path, keep=tmp_path / "kept"))
    assert again.content["results"] == found.content["results"]


def test_a_system_of_ones_own_is_an_entry(packs, tmp_path, monkeypatch):
    """It answers for all rows; the truth errs by nothing on validation rows as on test rows."""
    monkeypatch.setenv("CRYSDIFF_DATA", str(packs))

    def shifted(part, argument):
        return part.learned + float(argument)

    monkeypatch.setitem(SYSTEMS, "shifted", shifted)
    systems = ("shifted:0", "shifted:0.5")
    found = properties(options(tmp_path, systems=systems, validation=True))
    result = found.content["results"]["poisson_ratio"]
    assert result["shifted:0"]["mean"] == 0
    assert result["shifted:0.5"]["mean"] == pytest.approx(0.5)


def test_a_network_takes_part(packs, tmp_path, monkeypatch):
    monkeypatch.setenv("CRYSDIFF_DATA", str(packs))
    systems = ("finetune:none", "average:none")
    found = properties(options(tmp_path, systems=systems, epochs=1, folds=1))
    result = found.content["results"]["poisson_ratio"]
    assert result["average:none"]["mean"] < result["finetune:none"]["mean"]


def test_what_encoders_see_is_probed(packs, tmp_path, monkeypatch):
    """Nothing but a kernel regression is trained; encoders are asked once for all partitions."""
    monkeypatch.setenv("CRYSDIFF_DATA", str(packs))
    asked = []
    monkeypatch.setattr(systems_room, "encoded", lambda *a: asked.append(a[0]) or encoded(*a))
    systems = ("constant", "probe:none", "probe:crysldnet", "probe:dao-p")
    found = properties(options(tmp_path, systems=systems))
    result = found.content["results"]["poisson_ratio"]
    assert all(result[system]["mean"] < result["constant"]["mean"] for system in systems[1:])
    assert asked == ["none", "crysldnet", "dao-p"]


def test_few_labels_leave_the_test_rows():
    split = Split(tuple(range(70)), tuple(range(70, 85)), tuple(range(85, 100)))
    few = fewer(split, 50, 3)
    assert (len(few.train), len(few.validation), few.test) == (40, 10, split.test)
    assert len({*few.train, *few.validation}) == 50
    assert max(*few.train, *few.validation) < 85
    assert few == fewer(split, 50, 3) != fewer(split, 50, 4)


def test_wrong_requests(tmp_path):
    with pytest.raises(UnknownNameError, match="poisson_ratio"):
        properties(options(tmp_path, tasks=("poison_ratio",)))
    with pytest.raises(InputError, match="no systems oracle"):
        properties(options(tmp_path, systems=("oracle",)))
    with pytest.raises(InputError, match="folds"):
        properties(options(tmp_path, folds=0))


def test_tables_mark_the_best_and_count_wins():
    results = summarised({"phonon_peak": {"ours": [0.05, 0.06]}, "mine": {"ours": [1.0]}})
    assert results["phonon_peak"]["ours"] == {"mean": 0.055, "spread": 0.005, "each": [0.05, 0.06]}
    assert wins(results, "ours") == {c: "1 of 1" for c in ("CGCNN", "MoE-18", "JMP", "MoMa")}
    lines = markdown(results, ["ours"], {"phonon_peak": "ln(1/cm)", "mine": "eV"}).splitlines()
    assert "| **0.055** ± 0.005 | 0.126 |" in lines[2]
    assert lines[3].startswith("| `mine` | eV | **1** ± 0 |")
