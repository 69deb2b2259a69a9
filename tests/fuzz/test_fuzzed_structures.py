"""Crystals of every kind into what takes crystals: an answer, or one of our errors; never another
exception, and never another composition.
"""

import math

import numpy as np
import pytest
from ase.constraints import FixAtoms, FixCartesian
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import DummySpecies, Lattice, Structure
from refusals import answer

from ase_crysdiff.crystal.convert import atoms_to_structure, structure_to_atoms
from ase_crysdiff.data.readers import read_records
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import energy_above_hull, find_scaffold, relax

numbers = st.sampled_from([0.0, 1e-12, 0.01, 1.0, 2.5, 4.0, 9.0, 60.0, -3.0]) | st.floats(-12, 12)
wild = numbers | st.sampled_from([math.nan, math.inf, 1e200, 1e-300])
places = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.9999999, 1.0, -0.5, 1e6]) | st.floats(-2, 2)
species = st.sampled_from(["Na", "Cl", "Cu", "H", "D", "Fe3+", "O2-", "He", "Es", "Cs"])
odd = st.sampled_from([DummySpecies("X"), "Lr", {"Fe": 0.5, "Co": 0.5}, {"O": 0.9}])
texts = st.sampled_from(["", "a b", "a\nb", "Å", "1.5", "-", "=", '"', "'", "True", "nan", "{"])
values = st.none() | st.booleans() | numbers | texts | st.lists(numbers, max_size=3)


@st.composite
def structures(draw, number=numbers, kinds=species):
    """A few atoms in a cell that may be flat, left-handed, tiny or not finite."""
    rows = draw(st.lists(st.lists(number, min_size=3, max_size=3), min_size=3, max_size=3))
    if draw(st.booleans()):
        rows = (np.eye(3) * abs(rows[0][0]) + 0.1 * np.array(rows)).tolist()
    atoms = draw(st.lists(st.tuples(kinds, places, places, places), min_size=0, max_size=4))
    structure = Structure(Lattice(rows), [a[0] for a in atoms], [a[1:] for a in atoms])
    structure.properties = draw(st.dictionaries(st.sampled_from(["id", "charge", "note"]), values))
    for name in draw(st.sets(st.sampled_from(["magmom", "charge", "tags", "role"]))):
        column = st.lists(values, min_size=len(atoms), max_size=len(atoms))
        structure.add_site_property(name, draw(column))
    return structure


@given(st.lists(structures(wild, species | odd), max_size=3), st.booleans(), st.booleans())
def test_relaxing(given_structures, relax_cell, symmetric):
    results = relax(
        given_structures, PairPotential(), steps=1, relax_cell=relax_cell, symmetric=symmetric
    )
    assert len(results) == len(given_structures)
    for result, structure in zip(results, given_structures, strict=True):
        assert result.reason or result.converged
        if result.structure is not None:
            kept = [str(site.species) for site in result.structure]
            assert kept == [str(site.species) for site in structure]
        if result.accepted:
            assert math.isfinite(result.energy)
    for structure in results.structures:
        assert structure_to_atoms(structure).get_chemical_formula()


@given(structures(), st.data())
def test_held_atoms(structure, data):
    atoms = answer(lambda: structure_to_atoms(structure))
    if atoms is None or not len(atoms) or structure.volume < 1:
        return
    chosen = data.draw(st.sets(st.integers(0, len(atoms) - 1), min_size=1))
    mask = data.draw(st.tuples(*[st.booleans()] * 3))
    atoms.set_constraint([FixAtoms(sorted(chosen)), FixCartesian([0], mask)])
    (result,) = relax(atoms, PairPotential(), steps=2, relax_cell=False)
    if result.structure is not None and math.isfinite(result.energy):
        steps = result.structure.frac_coords - atoms.get_scaled_positions()
        assert np.abs((steps - np.rint(steps))[sorted(chosen)]).max() < 1e-6


endings = st.sampled_from(["extxyz", "db", "json", "csv", "cif"])


@given(st.lists(structures(), max_size=3), endings)
def test_files_come_back(tmp_path_factory, given_structures, ending):
    sound = [s for s in given_structures if len(s) and s.volume > 1]
    report = Report("fuzz", "", 0, len(sound), len(sound), 0)
    path = tmp_path_factory.mktemp("set") / f"set.{ending}"
    SampleSet(sound, report).write(path)
    if ending == "csv" or not sound:
        return
    back = [answer(record.load) for record in read_records(path)]
    assert len(back) == len(sound)
    for one, other in zip(back, sound, strict=True):
        if one is not None:
            assert sorted(s.specie.Z for s in one) == sorted(s.specie.Z for s in other)


@given(structures(wild, species | odd))
def test_scaffolds_and_heights(structure):
    answer(lambda: find_scaffold(structure))
    table = {"Na": 0.0, "Cl": 0.0, "Cu": 0.0}
    references = dict.fromkeys(table, 0.0)
    found = energy_above_hull(structure, PairPotential(), table, element_references=references)
    assert math.isnan(found.energy_above_hull[0]) == (0 in found.failures)


@given(structures())
def test_atoms_and_structures_are_the_same_crystal(structure):
    if not len(structure) or structure.volume < 1:
        return
    atoms = structure_to_atoms(structure)
    back = answer(lambda: atoms_to_structure(atoms))
    if back is not None:
        assert [s.specie.Z for s in back] == [s.specie.Z for s in structure]
        steps = back.frac_coords - structure.frac_coords
        assert np.abs(steps - np.rint(steps)).max() == pytest.approx(0, abs=1e-5)
