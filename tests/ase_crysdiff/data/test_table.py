"""The line about each structure."""

import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.data import table
from ase_crysdiff.testing.crystals import prototypes


def test_line_of_a_crystal():
    found = table.summarise(prototypes()["NaCl"])
    assert found["formula"] == "NaCl"
    assert found["space_group"] == "Fm-3m"
    assert table.format_table([prototypes()["NaCl"]]).splitlines()[2].startswith("NaCl")


def test_space_group_is_unknown_where_there_is_none_to_be_found():
    on_top = Structure(Lattice.cubic(4), ["Na", "Na"], [[0, 0, 0], [0, 0, 0]])
    assert table.summarise(on_top)["space_group"] == "unknown"


def test_other_errors_are_not_taken_for_a_lack_of_symmetry(monkeypatch):
    def mistaken(structure, symprec):
        raise TypeError("a mistake in the code")

    monkeypatch.setattr(table, "space_group", mistaken)
    with pytest.raises(TypeError, match="mistake"):
        table.summarise(prototypes()["NaCl"])
