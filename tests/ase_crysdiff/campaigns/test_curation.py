"""Curation of training sets, as Python calls it."""

import csv
import json
from dataclasses import replace

import pytest
from pymatgen.io.cif import CifWriter

from ase_crysdiff.campaigns.curation.curate import curate
from ase_crysdiff.campaigns.curation.options import CurationOptions
from ase_crysdiff.campaigns.curation.report import summary
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes


@pytest.fixture
def pool(tmp_path):
    """Two stable crystals, one of them twice, and one far above the hull."""
    p = prototypes()
    rows = [("salt", 0.0, p["NaCl"]), ("again", 0.02, p["NaCl"] * (2, 1, 1))]
    rows += [("titanate", 0.01, p["SrTiO3"]), ("high", 1.5, p["MoS2"])]
    path = tmp_path / "pool.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["material_id", "e_above_hull", "cif"])
        table.writerows([name, height, str(CifWriter(s))] for name, height, s in rows)
    return path


@pytest.fixture
def options(tmp_path):
    return CurationOptions(output=tmp_path / "curated", min_atoms=2)


def test_both_stages_and_the_report_are_returned(pool, options, capsys):
    result = curate([pool], options)
    formulas = [s.composition.reduced_formula for s in result.first.structures.values()]
    assert sorted(formulas) == ["NaCl", "SrTiO3"]
    assert result.second.structures.keys() == result.first.structures.keys()
    assert set(result.first.losses.values()) == {
        "a duplicate",
        "1 eV/atom or more above the hull",
    }
    assert json.loads((options.output / "report.json").read_text()) == result.report
    assert "4 crystals read" in summary(result.report)
    assert capsys.readouterr().out == ""


def test_other_rules_are_another_run(pool, options):
    curate([pool], options)
    with pytest.raises(InputError, match=r"rules\.max_height was 1\.0, is now 0\.6"):
        curate([pool], replace(options, max_height=0.6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"copies": ("upside-down",)}, "There are no copies"),
        ({"min_atoms": 9, "max_atoms": 8}, "must not be above max-atoms"),
        ({"workers": -1}, "workers must be"),
        ({"timeout": 0.0}, "timeout above 0 s"),
    ],
)
def test_nonsense_is_refused_before_anything_is_read(change, message, options, tmp_path):
    with pytest.raises(InputError, match=message):
        curate([tmp_path / "absent.csv"], replace(options, **change))
    assert not (options.output / "parts").exists()
