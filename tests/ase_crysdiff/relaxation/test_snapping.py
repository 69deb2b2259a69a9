"""Symmetry that relaxed crystals nearly have."""

import math

import numpy as np
import pytest
from ase.constraints import FixAtoms
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.errors import InputError
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.snapping import Snapping
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.symmetry.refinement import space_group
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential


def moved(name, by, seed=0):
    structure = prototypes()[name].copy()
    rng = np.random.default_rng(seed)
    for site in structure:
        site.coords = site.coords + by * rng.standard_normal(3)
    return structure


def result(structure, energy, **more):
    return RelaxResult(structure, True, 5, energy, 0.01, energy + 1, True, **more)


def test_relaxed_crystals_find_the_symmetry_that_they_nearly_have():
    given = [moved("SrTiO3", 0.1), moved("NaCl", 0.1), prototypes()["Cu"]]
    plain = relax(given, "dao-p", progress=False)
    found = relax(given, "dao-p", snap=True, progress=False)
    for before, after in zip(plain[:2], found[:2], strict=True):
        assert space_group(before.structure, 0.001)[1] < space_group(after.structure, 0.001)[1]
        assert after.snapped in (0.1, 0.2, 0.3, 0.5)
        assert after.energy_per_atom <= before.energy_per_atom + 1e-3
        assert after.first_energy == pytest.approx(before.first_energy)
        assert after.steps >= before.steps
    assert space_group(found[0].structure, 0.001)[0] == "Pm-3m"
    assert found[2].snapped is None  # it has all its symmetry
    assert found[2].energy == pytest.approx(plain[2].energy)
    assert found[0].labelled(0).properties["crysdiff_snapped"] == found[0].snapped


def test_what_would_be_higher_stays_as_it_is():
    """The symmetric crystal is 2 meV/atom higher, then 0.5."""
    structure = moved("SrTiO3", 0.03)
    for rise, taken in ((0.002, False), (0.0005, True)):
        before = result(structure, -40.0)

        def relaxed(some, rise=rise):
            return ((k, result(s, -40.0 + rise * len(s))) for k, s in enumerate(some))

        ((position, found),) = Snapping().apply(iter([(7, before)]), relaxed)
        assert position == 7
        assert (found.snapped is not None) == taken
        assert found.structure.properties == structure.properties


def test_failures_and_unconverged_crystals_are_left_alone():
    nothing = RelaxResult(None, False, 0, math.nan, math.nan, math.nan, False, "no crystal")
    tight = Structure(Lattice.cubic(3), ["H", "H"], [[0, 0, 0], [0.01, 0, 0]])
    rushed = RelaxResult(moved("NaCl", 0.05), False, 1, -3.0, 0.5, -2.0, True, "not converged")

    def never(some):
        assert not some
        return iter(())

    given = {0: nothing, 1: result(tight, 1.0), 2: rushed}
    found = dict(Snapping().apply(iter(given.items()), never))
    assert found == given


def test_what_contradicts_itself_is_refused():
    with pytest.raises(InputError, match="Give one of the two"):
        relax([moved("NaCl", 0.1)], PairPotential(), snap=True, symmetric=True)
    atoms = structure_to_atoms(moved("NaCl", 0.1))
    atoms.set_constraint(FixAtoms([0]))
    (held,) = relax([atoms], PairPotential(), snap=True, progress=False)
    assert "snap=True" in held.reason
