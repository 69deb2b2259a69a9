"""Predicted properties of finds: windows, crystals that a predictor does not know, resumed runs."""

import math

import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.discovery.finds import Find
from ase_crysdiff.campaigns.discovery.properties import Properties
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.storage import Store

ROCKSALT = Structure.from_spacegroup(
    225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
NEON = Structure.from_spacegroup(225, Lattice.cubic(4.43), ["Ne"], [[0, 0, 0]])


def finds():
    """Rock salt, which predictors know, and neon, which `formation-energy` does not."""
    cells = {"salt": ROCKSALT, "neon": NEON}
    return [
        Find(key, RelaxResult(cell, True, 0, 0.0, 0.0, 0.0, True), 0.0, 0.0, True)
        for key, cell in cells.items()
    ]


def test_what_has_no_value_is_in_no_window_and_named(tmp_path):
    asked = Properties(0, Store(tmp_path))
    left, notes = asked.within(finds(), {"formation-energy": (-math.inf, math.inf)}, "relaxed")
    assert [f.key for f in left] == ["salt"]
    value, deviation, unit = left[0].properties["formation-energy"]
    assert value == pytest.approx(-2.1, abs=0.15)
    assert deviation > 0
    assert unit == "eV/atom"
    (note,) = notes
    assert note.startswith("1 of 2 crystals have no formation-energy")
    assert "does not know these elements: Ne" in note
    none, _ = asked.within(finds(), {"formation-energy": (-1.0, 0.0)}, "relaxed")
    assert none == []


def test_values_are_kept_by_stage_and_do_not_depend_on_processes(tmp_path, monkeypatch):
    asked = Properties(0, Store(tmp_path))
    first = asked.of(finds(), "formation-energy", "relaxed")
    assert math.isnan(first[1].properties["formation-energy"][0])
    assert "Ne" in first[1].remarks[-1]
    elsewhere = Properties(2, Store(tmp_path / "two")).of(finds(), "formation-energy", "relaxed")
    assert elsewhere[0].properties["formation-energy"] == first[0].properties["formation-energy"]
    monkeypatch.setattr("ase_crysdiff.campaigns.discovery.properties.estimates", None)
    again = asked.of(finds(), "formation-energy", "relaxed")
    assert again[0].properties == first[0].properties
    assert asked.of(finds(), "formation-energy", "released")[0].remarks
