"""Field reports, items 3-5, 28, 34 and 39: what users have said of their atoms is heeded and
kept.
"""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import (
    FixAtoms,
    FixBondLength,
    FixCartesian,
    FixedLine,
    FixedPlane,
    FixScaled,
    FixSymmetry,
)
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS
from pymatgen.core import Lattice, Species, Structure

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.crystal.convert import atoms_to_structure
from ase_crysdiff.relaxation.ranking import rank
from ase_crysdiff.testing.pair_potential import PairPotential
from calculators import DAOPCalculator
from pymatgen_ext import StructurePredictor, energy_above_hull, evaluate, relax

SKEWED = [[4.2, 0.3, 0.0], [0.9, 4.1, 0.2], [-0.4, 0.8, 4.4]]


def salt(seed=1):
    """Near the minimum of the test potential."""
    atoms = bulk("NaCl", "rocksalt", a=4.8, cubic=True)
    atoms.rattle(0.06, seed=seed)
    return atoms


def moved(atoms, result):
    """Moves of the atoms in fractional coordinates, nearest images."""
    moves = result.structure.frac_coords - atoms.get_scaled_positions()
    return moves - np.rint(moves)


CONSTRAINTS = [
    FixAtoms([0, 1, 2, 3]),
    FixScaled([1, 2], (False, True, True)),
    FixCartesian([0, 5], (True, False, True)),
    FixedPlane([3, 4], (1, 1, 0)),
    FixedLine([6], (1, 2, 0)),
]
CASES = [(c, False) for c in CONSTRAINTS] + [(c, True) for c in CONSTRAINTS[:2]]


@pytest.mark.parametrize(("constraint", "relax_cell"), CASES)
def test_held_atoms_stay_as_ase_keeps_them(constraint, relax_cell):
    """Where cells relax, too, directions in space would turn with them."""
    atoms = salt()
    atoms.set_constraint(constraint)
    how = {"relax_cell": relax_cell, "optimizer": "lbfgs-ase", "fmax": 0.03}
    (result,) = relax(atoms, PairPotential(), **how)
    judge = atoms.copy()
    judge.calc = PotentialCalculator(PairPotential())
    start = judge.get_potential_energy()
    LBFGS(FrechetCellFilter(judge) if relax_cell else judge, logfile=None).run(0.03, 200)
    assert result.converged
    assert result.energy < start - 0.02
    assert result.energy == pytest.approx(judge.get_potential_energy(), abs=5e-3)
    expected = judge.get_scaled_positions() - atoms.get_scaled_positions()
    expected -= np.rint(expected)
    assert np.abs(moved(atoms, result) - expected).max() < 0.02
    held = np.abs(expected) < 1e-9
    assert np.abs(moved(atoms, result)[held]).max(initial=0.0) < 1e-9
    assert held.any() == (not isinstance(constraint, FixedPlane))
    if isinstance(constraint, FixedPlane):
        steps = moved(atoms, result)[constraint.index] @ atoms.cell.array
        assert np.abs(steps @ constraint.dir).max() < 1e-9


def test_minimal_input_of_the_report():
    """Four atoms of rattled MgO by dao-p: ASE's answer is -49.549 eV."""
    atoms = bulk("MgO", "rocksalt", a=4.25, cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.set_constraint(FixAtoms([0, 1, 2, 3]))
    (result,) = relax(atoms, relax_cell=False)
    assert np.abs(moved(atoms, result)[:4]).max() < 1e-12
    judge = atoms.copy()
    judge.calc = DAOPCalculator()
    LBFGS(judge, logfile=None).run(0.05, 200)
    assert result.energy == pytest.approx(judge.get_potential_energy(), abs=0.01)


def test_selective_dynamics_of_a_structure():
    structure = atoms_to_structure(salt())
    flags = [[True] * 3 for _ in structure]
    flags[0], flags[3] = [False] * 3, [True, False, True]
    structure.add_site_property("selective_dynamics", flags)
    (result,) = relax(structure, PairPotential(), fmax=0.02)
    moves = result.structure.frac_coords - structure.frac_coords
    assert np.abs(moves[0]).max() < 1e-12
    assert abs(moves[3, 1]) < 1e-12 < abs(moves[3, 0])
    assert result.structure.site_properties["selective_dynamics"] == flags


def test_flags_that_mean_two_things_are_refused():
    """VASP reads partial flags along lattice vectors, ASE along x, y, z."""
    structure = Structure(
        Lattice(SKEWED),
        ["Na", "Cl"],
        [[0, 0, 0], [0.5, 0.5, 0.48]],
        site_properties={"selective_dynamics": [[True, True, False], [True] * 3]},
    )
    whole = structure.copy(site_properties={"selective_dynamics": [[False] * 3, [True] * 3]})
    results = relax([structure, whole], PairPotential(), relax_cell=False)
    assert "FixScaled" in results[0].reason
    assert np.isnan(results[0].energy)
    assert results[1].converged


@pytest.mark.parametrize(
    ("constraint", "said"),
    [(FixBondLength(0, 1), "FixBondLength"), (FixSymmetry(bulk("Cu")), "symmetric=True")],
)
def test_other_constraints_are_refused_with_the_others_relaxed(constraint, said):
    atoms = salt()
    atoms.set_constraint(constraint)
    refused, done = relax([atoms, salt()], PairPotential(), relax_cell=False)
    assert said in refused.reason
    assert not refused.accepted
    assert done.converged


def test_held_atoms_and_symmetry_exclude_each_other():
    atoms = salt()
    atoms.set_constraint(FixAtoms([0]))
    (result,) = relax(atoms, PairPotential(), symmetric=True)
    assert "symmetric=True" in result.reason


class Reader(Calculator):
    """An engine whose energy depends on what is said of the atoms."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.seen = atoms.copy()
        energy = -np.abs(atoms.get_initial_magnetic_moments()).sum()
        energy -= 10 * atoms.get_initial_charges().sum() + 100 * atoms.info.get("charge", 0)
        self.results = {
            "energy": float(energy),
            "forces": np.zeros((len(atoms), 3)),
            "stress": np.zeros(6),
        }


def iron():
    atoms = bulk("Fe", cubic=True)
    atoms.set_initial_magnetic_moments([2.2, -2.2])
    atoms.set_initial_charges([0.25, 0.25])
    atoms.set_tags([1, 2])
    atoms.set_masses([57.0, 54.0])
    atoms.info |= {"id": "x1", "charge": 1}
    return atoms


def test_moments_charges_tags_and_info_reach_a_calculator():
    engine = Reader()
    (result,) = relax(iron(), engine)
    assert result.energy == pytest.approx(-4.4 - 5 - 100)
    assert engine.seen.get_tags().tolist() == [1, 2]
    assert engine.seen.get_masses().tolist() == [57.0, 54.0]
    (again,) = relax([atoms_to_structure(iron())], engine)
    assert again.energy == result.energy
    heights = energy_above_hull(iron(), Reader(), {"Fe": 0.0}, element_references={"Fe": 0.0})
    assert heights.energy[0] == pytest.approx(result.energy / 2)


def test_spins_of_species_are_moments():
    structure = Structure(Lattice.cubic(2.87), [Species("Fe", 2, spin=4)], [[0, 0, 0]])
    (result,) = relax(structure, Reader())
    assert result.energy == -4


def test_systems_with_and_without_labels_share_batches():
    results = relax([bulk("Al"), iron(), bulk("Cu"), iron()], Reader(), steps=3, max_atoms=3)
    assert [r.energy for r in results] == pytest.approx([0, -109.4, 0, -109.4])


def test_what_the_user_noted_comes_back():
    result = relax(iron(), Reader())[0].structure
    assert result.properties == {"id": "x1", "charge": 1}
    assert result.site_properties["tags"] == [1, 2]
    assert result.site_properties["magmom"] == [2.2, -2.2]


def test_hosts_keep_species_labels_and_properties(toy_filler):
    host = Structure(
        Lattice.cubic(4.3),
        ["Mg2+"] * 4,
        [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        site_properties={"magmom": [1.5] * 4, "selective_dynamics": [[False] * 3] * 4},
        labels=["M1", "M2", "M3", "M4"],
        properties={"id": "host", "crysdiff_energy": 1.0},
    )
    (filled,) = toy_filler.inpaint(host, {"O": 2}, seed=1)
    assert [str(site.specie) for site in filled] == ["Mg2+"] * 4 + ["O"] * 2
    assert filled.labels == ["M1", "M2", "M3", "M4", "O", "O"]
    assert filled.site_properties["magmom"] == [1.5] * 4 + [0.0] * 2
    assert filled.properties["id"] == "host"
    assert "crysdiff_energy" not in filled.properties
    (result,) = relax(filled, PairPotential(), relax_cell=False)
    assert np.abs(result.structure.frac_coords[:4] - host.frac_coords).max() < 1e-12
    kept = toy_filler.inpaint(host, {"O": 2}, mask=[3], seed=1)[0]
    assert kept.labels[:3] == ["M1", "M2", "M3"]


def test_atoms_wherever_structures_are_taken(toy_filler):
    atoms = bulk("MgO", "rocksalt", a=4.3, cubic=True)
    (filled,) = toy_filler.inpaint(atoms[atoms.symbols == "Mg"], {"O": 2}, seed=1)
    assert len(filled) == 6
    assert evaluate([atoms], workers=0)["structural_validity"].value == 1
    heights = energy_above_hull([atoms, None, bulk("Cu") * (2, 1, 1), "text"])
    assert heights.energy_above_hull[0] == pytest.approx(0.06, abs=0.03)
    assert set(heights.failures) == {1, 3}
    assert "str" in heights.failures[3]


@pytest.fixture(scope="module")
def toy_filler(toy_miad):
    from pymatgen_ext import StructureSampler

    return StructureSampler("miad", weights=str(toy_miad), device="cpu")


def test_nothing_that_was_given_is_changed(toy_filler):
    """`Structure.copy` of pymatgen shares the properties, and writes new ones into the old."""
    given = Structure(
        Lattice.cubic(4.8),
        ["Na", "Na", "Na", "Na", "Cl", "Cl", "Cl", "Cl"],
        bulk("NaCl", "rocksalt", a=4.8, cubic=True)[
            [0, 2, 4, 6, 1, 3, 5, 7]
        ].get_scaled_positions(),
        properties={"id": "mine", "notes": ["a"]},
        site_properties={"magmom": [0.0] * 8},
    )
    before = given.as_dict()
    results = relax(given, PairPotential())
    assert results.structures[0].properties["crysdiff_converged"]
    relax(given, PairPotential(), symmetric=True, release=0.03, steps=3)
    rank([given, given.copy()], PairPotential())
    StructurePredictor("formation-energy").annotate([given])
    evaluate([given], potential=PairPotential(), hull=None, workers=0)
    energy_above_hull(given)
    toy_filler.inpaint(given, {"O": 1}, mask=[7], seed=1, potential=PairPotential(), symprec=0.1)
    toy_filler.vary(given, seed=1, steps=2)
    results.structures[0].properties["notes"].append("b")
    assert given.as_dict() == before


def test_site_properties_of_any_kind_break_nothing(tmp_path):
    """Found by fuzzing: names that ASE and pymatgen compute with, values that are no numbers."""
    odd = {
        "magmom": ["up", "down"],
        "charge": [[], []],
        "tags": ["", "x"],
        "positions": [[9.0] * 3] * 2,
        "final_magmom": [None, 1.0],
    }
    plain = bulk("NaCl", "rocksalt", a=4.8)
    structure = atoms_to_structure(plain).copy(site_properties=odd)
    found, expected = relax([structure, plain], PairPotential())
    assert found.energy == pytest.approx(expected.energy, abs=1e-6)
    assert found.structure.site_properties["magmom"] == ["up", "down"]
    results = relax(structure, PairPotential())
    for ending in ("extxyz", "db", "csv", "json", "cif"):
        results.write(tmp_path / f"set.{ending}")
    wrong = structure.copy(site_properties={"selective_dynamics": ["F F F", True]})
    assert "three truth values" in relax(wrong, PairPotential())[0].reason
