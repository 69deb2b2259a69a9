"""Decomposition energies: golden values."""

import pytest

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.decomposition import decomposition
from ase_crysdiff.metrics.hull import Hull

TABLE = {"Li": 0, "Cl": 0, "LiCl": -1.0}


def test_same_composition_does_not_compete():
    found = decomposition("LiCl", -1.0, Hull(TABLE))
    assert found.energy == pytest.approx(-1.0)
    assert found.products == {"Li": pytest.approx(0.5), "Cl2": pytest.approx(0.5)}
    assert "LiCl" not in found.present


def test_a_compound_below_the_hull_is_negative_whether_it_is_listed_or_not():
    for table in (TABLE, {**TABLE, "Li3Cl": -0.6}):
        found = decomposition({"Li": 6, "Cl": 2}, -0.6, Hull(table))
        assert found.energy == pytest.approx(-0.1)
        assert set(found.products) == {"Li", "LiCl"}
        assert set(found.present) >= {"Li", "LiCl"}
    assert decomposition("Li3Cl", -0.45, Hull(TABLE)).energy == pytest.approx(0.05)


def test_elements_compete_with_themselves_and_missing_ones_are_named():
    assert decomposition("Li", 0.02, Hull(TABLE)).energy == pytest.approx(0.02)
    with pytest.raises(InputError, match="no entry for the element Na"):
        decomposition("NaCl", -1.0, Hull(TABLE))
