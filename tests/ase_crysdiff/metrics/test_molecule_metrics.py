"""Published metrics of molecules on molecules whose answers are known."""

import pytest
from ase.build import molecule
from pymatgen.core import Molecule

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.molecules import (
    atom_stability,
    molecule_stability,
    novelty,
    valid_and_unique,
    validity,
    written,
)


def known(name):
    atoms = molecule(name)
    return Molecule(atoms.get_chemical_symbols(), atoms.positions)


def test_stability_counts_atoms_and_molecules():
    rows = [known("CH4"), known("CH3"), None]
    atoms = atom_stability(rows)
    assert atoms.value == pytest.approx(8 / 9)  # the carbon of the radical is not
    assert atoms.per_structure == (1.0, 0.75, None)
    assert atoms.failures == {2: "not drawn"}
    assert molecule_stability(rows).value == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="no molecules"):
        atom_stability([None])


def test_texts_of_known_molecules():
    pytest.importorskip("rdkit")
    names = ["CH3CH2OH", "CH3OCH3", "C2H4", "HCN", "CO2", "CH3CHO"]
    texts = written([known(name) for name in names])
    assert texts == ["CCO", "COC", "C=C", "C#N", "O=C=O", "CC=O"]
    assert written([None, known("CH4")]) == [None, "C"]


def test_what_rdkit_refuses_is_not_valid():
    pytest.importorskip("rdkit")
    crowded = Molecule(
        ["C", "H", "H", "H", "H", "H"],
        [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]],
    )
    assert written([crowded]) == [None]


def test_shares_of_texts():
    texts = ["C", "C", None, "CC", "CO"]
    assert validity(texts).value == pytest.approx(0.8)
    assert valid_and_unique(texts).value == pytest.approx(0.6)
    assert novelty(texts, {"CC", "N"}).value == pytest.approx(2 / 3)
