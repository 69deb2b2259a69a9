"""Tables of formulas: what is read, what is left out, and which are formulas of crystals."""

import gzip

import numpy as np
import pytest
from pymatgen.core import Composition

from ase_crysdiff.data.formula_tables import formulas_of, read_formulas
from ase_crysdiff.errors import InputError


def test_formulas_are_shares_of_elements(tmp_path):
    path = tmp_path / "formulas.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("formula,source,tc (K)\nMgB2,a,39\nNb0.75Zr0.25,b,10.8\nB4 Mg2,c,37\n")
    found = read_formulas(path, "tc", "K", "log1p")
    assert len(found) == 2
    assert found.values.tolist() == [38, 10.8]  # of one formula the median
    assert found.shares[0, [5, 12]] == pytest.approx([2 / 3, 1 / 3], abs=1e-5)
    assert found.shares[1, [40, 41]] == pytest.approx([0.25, 0.75])
    assert np.allclose(found.shares.sum(1), 1)


def test_what_cannot_be_used_is_named():
    table = {"NaCl": 1.0, "D2O": 2.0, "Xx2O": 3.0, "no formula": 4.0, "KCl": float("nan"), "": 1.0}
    found = formulas_of(table)
    assert found.values.tolist() == [1, 2]
    reasons = dict(found.left_out)
    assert reasons["Xx2O"].startswith("not ")
    assert reasons["no formula"] == "not a formula: 'no formula'"
    assert reasons["KCl"] == "no value"
    assert reasons[""] == "not a formula: ''"
    assert dict(formulas_of({"NaCl": 1.0, "KCl": -2.0}, "log").left_out) == {
        "KCl": "not positive, but its logarithm is learned: -2.0"
    }


def test_compositions_and_missing_values():
    found = formulas_of({Composition("MgB2"): 39, "NbTi": None, "NbN": "16 K", "Nb3Sn": 18.3})
    assert found.values.tolist() == [39, 18.3]
    assert dict(found.left_out) == {"NbTi": "no value", "NbN": "not a number: '16 K'"}


def test_formulas_of_crystals_are_left_out():
    """As they are written: with two or three digits."""
    found = formulas_of({"Mg2Si": 1.0, "Nb0.7519Zr0.2481": 2.0, "Nb3Sn": 3.0, "NbZr": 4.0})
    crystals = formulas_of({"SiMg2": 1.0, "Nb3Zr": 1.0, "Nb3Ge": 1.0}).shares
    assert found.without(crystals).values.tolist() == [3, 4]
    assert len(found.without(crystals[:0])) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("compound,tc\nMgB2,39\n", "no column 'formula'"),
        ("formula,temperature\nMgB2,39\n", "no column 'tc'"),
        ("formula,tc (mK)\nMgB2,39000\n", "is in mK, not in K"),
        ("formula,tc\nMgB2,high\n", "None of 1 formulas can be used.*MgB2: not a number"),
        ("formula,tc\n", "None of 0 formulas"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, reason):
    path = tmp_path / "formulas.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_formulas(path, "tc", "K")
    with pytest.raises(InputError, match="no file"):
        read_formulas(tmp_path / "absent.csv", "tc", "K")
