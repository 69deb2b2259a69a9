"""Sixty textbook crystals in nineteen dialects of CIF: read right, or refused; never anything else.

What a file leaves open or contradicts itself about may be refused, but how much of it is still read
must not fall.
"""

import warnings
from collections import Counter

import numpy as np
import pytest
from dialects import OPEN, RIGHT, WRONG, Dialect
from pymatgen.core import Lattice, Structure
from textbook_crystals import CRYSTALS, same_crystal

from ase_crysdiff.crystal.cif.reading import structure_from_cif
from ase_crysdiff.crystal.cif.settings import setting, tabulated
from ase_crysdiff.errors import InputError


def verdicts(dialect: Dialect) -> dict[str, str]:
    """What became of each crystal: "right", "refused", or the formula of something else."""
    found = {}
    for name, crystal in CRYSTALS.items():
        try:
            structure = structure_from_cif(dialect(crystal))
        except InputError:
            found[name] = "refused"
        else:
            right = same_crystal(structure, crystal.structure)
            found[name] = "right" if right else structure.formula
    return found


@pytest.mark.parametrize("dialect", RIGHT)
def test_what_is_said_is_read(dialect):
    assert {n: v for n, v in verdicts(RIGHT[dialect]).items() if v != "right"} == {}


@pytest.mark.parametrize(
    ("dialect", "read"),
    [
        ("symbol_only", 57),
        ("other_setting_unnamed", 50),
        ("identity_only", 60),
        ("uncentred", 60),
        ("broken_off", 60),
        ("foreign_operators", 33),
    ],
)
def test_what_is_left_open_is_read_right_or_refused(dialect, read):
    found = verdicts(OPEN[dialect])
    assert {n: v for n, v in found.items() if v not in ("right", "refused")} == {}
    assert Counter(found.values())["right"] >= read


@pytest.mark.parametrize("dialect", WRONG)
def test_what_cannot_be_is_refused(dialect):
    assert set(verdicts(WRONG[dialect]).values()) == {"refused"}


@pytest.mark.parametrize("atoms", [1, 2, 3, 12, 13])
@pytest.mark.parametrize("element", ["F", "O", "Si"])
def test_an_element_is_read_as_pymatgen_writes_it(element, atoms):
    """Of 13 atoms F it says 6 formula units of F2, and the formula F13."""
    places = np.linspace(0, 1, atoms, endpoint=False)[:, None] * [1, 0.5, 0.25]
    written = Structure(Lattice.cubic(8), [element] * atoms, places)
    assert len(structure_from_cif(written.to(fmt="cif"))) == atoms


def test_too_few_atoms_of_an_element_are_refused():
    written = Structure(Lattice.cubic(5.43), ["Si"], [[0, 0, 0]]).to(fmt="cif")
    with pytest.raises(InputError, match="8 formula units"):
        structure_from_cif(written.replace("_units_Z   1", "_units_Z   8"))


def test_the_crystals_differ_from_each_other():
    """Else the comparison would prove nothing."""
    structures = {n: c.structure for n, c in CRYSTALS.items()}
    alike = [
        (a, b)
        for a in structures
        for b in structures
        if a < b
        and structures[a].composition.reduced_formula == structures[b].composition.reduced_formula
        and same_crystal(structures[a], structures[b])
    ]
    assert alike == []
    assert len(structures) == 60


def test_strict_warnings_do_not_change_what_the_tables_say():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        setting.cache_clear()
        tabulated.cache_clear()
        assert setting(525).number == 227
        assert len(tabulated(525).rotations) == 192
