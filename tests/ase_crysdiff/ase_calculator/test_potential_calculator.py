"""ASE's contract for calculators (Calculator.calculate, Properties, Trajectory, ase.db), on an
analytic potential.
"""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import (
    CalculationFailed,
    PropertyNotImplementedError,
)
from ase.calculators.emt import EMT
from ase.stress import voigt_6_to_full_3x3_stress
from finite_differences import numerical_forces, numerical_stress
from pymatgen.io.ase import AseAtomsAdaptor

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Evaluation
from ase_crysdiff.potentials.from_calculator import CalculatorPotential
from ase_crysdiff.testing.crystals import prototypes, strained_salt
from ase_crysdiff.testing.pair_potential import PairPotential


class Counting(PairPotential):
    """Knows how often it was asked."""

    asked = 0

    def evaluate(self, configurations):
        self.asked += 1
        return super().evaluate(configurations)


def calculator(dtype=torch.float64):
    return PotentialCalculator(PairPotential(dtype=dtype))


def energy_of(atoms, calc):
    atoms.calc = calc
    return atoms.get_potential_energy()


@pytest.fixture(params=["salt", "copper", "silicon", "chain", "water"])
def any_atoms(request):
    return {
        "salt": strained_salt,
        "copper": lambda: bulk("Cu", cubic=True),
        "silicon": lambda: bulk("Si"),
        "chain": lambda: AseAtomsAdaptor.get_atoms(prototypes()["chain"]) * (2, 2, 1),
        "water": lambda: molecule("H2O"),
    }[request.param]()


def test_results_have_the_types_that_ase_wants(any_atoms):
    any_atoms.calc = calculator()
    energy = any_atoms.get_potential_energy()
    assert np.isscalar(energy)
    assert np.isfinite(energy)
    assert any_atoms.get_potential_energy(force_consistent=True) == energy
    forces = any_atoms.get_forces()
    assert forces.shape == (len(any_atoms), 3)
    assert forces.dtype == np.float64
    assert any_atoms.get_potential_energies().sum() == pytest.approx(energy, abs=1e-10)
    if any_atoms.pbc.all():
        assert any_atoms.get_stress().shape == (6,)
        assert any_atoms.get_stress().dtype == np.float64
        assert np.array_equal(
            any_atoms.calc.get_property("stress", any_atoms), any_atoms.get_stress()
        )
        assert set(any_atoms.get_properties(["energy", "forces", "stress"])) >= {
            "energy",
            "forces",
            "stress",
        }
    assert dict(any_atoms.calc.export_properties())["energy"] == energy


def test_one_evaluation_serves_all_properties():
    potential = Counting()
    atoms = strained_salt()
    atoms.calc = PotentialCalculator(potential)
    (
        atoms.get_forces(),
        atoms.get_stress(),
        atoms.get_potential_energy(),
        atoms.get_potential_energies(),
    )
    assert potential.asked == 1
    atoms.info["note"], atoms.arrays["tags"] = "x", np.ones(len(atoms), dtype=int)
    atoms.set_velocities(np.ones((len(atoms), 3)))
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
    assert not atoms.calc.calculation_required(atoms, ["energy"])
    atoms.get_forces()
    assert potential.asked == 1
    atoms.positions[0, 0] += 1e-14
    assert atoms.calc.calculation_required(atoms, ["energy"])
    atoms.get_forces()
    assert potential.asked == 2
    for change in (
        lambda: atoms.set_pbc([1, 1, 0]),
        lambda: atoms.set_cell(atoms.cell * 1.01),
        lambda: atoms.numbers.__setitem__(0, 3),
    ):
        asked = potential.asked
        change()
        atoms.get_potential_energy()
        assert potential.asked == asked + 1


def test_results_are_copies_and_atoms_stay_untouched():
    atoms = strained_salt()
    atoms.positions[0] += (
        3 * atoms.cell[0]
    )  # outside the cell: not to be wrapped behind the user's back
    before = {name: array.copy() for name, array in atoms.arrays.items()}
    atoms.calc = calculator()
    forces = atoms.get_forces()
    forces[:] = 7
    assert not (atoms.get_forces() == 7).any()
    assert all(np.array_equal(before[name], array) for name, array in atoms.arrays.items())


def test_unsupported_properties_raise_the_error_that_optimisers_expect():
    atoms = strained_salt()
    atoms.calc = calculator()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_magnetic_moments()
    for open_atoms in (molecule("H2O"), fcc111("Cu", (2, 2, 2), vacuum=5.0)):
        open_atoms.calc = calculator()
        open_atoms.get_forces()
        with pytest.raises(PropertyNotImplementedError):
            open_atoms.get_stress()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda a: a.positions.__setitem__((3, 1), np.nan), "position of atom 3 is not finite"),
        (lambda a: a.positions.__setitem__((3, 1), np.inf), "position of atom 3 is not finite"),
        (lambda a: a.positions.__setitem__((3, 1), 1e16), "Atom 3 lies 1e\\+16 Å"),
        (lambda a: a.set_cell(a.cell.array * np.nan), "cell is not finite"),
        (lambda a: a.set_cell(np.zeros((3, 3))), "zero or parallel"),
        (lambda a: a.set_cell([[5, 0, 0], [5, 0, 0], [0, 0, 5]]), "zero or parallel"),
        (lambda a: a.set_cell(np.eye(3) * 1e-3, scale_atoms=True), "repeats every 0.001 Å"),
        (lambda a: a.set_cell([40, 40, 0.01], scale_atoms=True), "repeats every 0.01 Å"),
        (lambda a: a.set_cell(np.eye(3), scale_atoms=True), "0.125 Å³ per atom"),
        (lambda a: a.numbers.__setitem__(2, 0), "does not know X .*H-Es"),
        (lambda a: a.numbers.__setitem__(2, 118), "does not know Og"),
        (lambda a: a.__delitem__(slice(None)), "no atoms"),
    ],
)
def test_bad_atoms_are_refused_with_a_reason(break_it, message):
    atoms = strained_salt()
    break_it(atoms)
    atoms.calc = calculator()
    for ask in (atoms.get_potential_energy, atoms.get_forces):
        with pytest.raises(ValueError, match=message) as caught:
            ask()
        assert isinstance(caught.value, InputError)


def test_harmless_oddities_change_nothing():
    reference = strained_salt()
    energy = energy_of(reference, calculator())
    skewed = strained_salt()
    skewed.set_cell(np.array([[1, 0, 0], [100, 1, 0], [0, 0, 1]]) @ skewed.cell.array)
    mirrored = strained_salt()
    mirrored.set_cell(mirrored.cell.array * [1, 1, -1], scale_atoms=True)
    far = strained_salt()
    far.positions += [4 * 10**4 * far.cell[0], -3 * far.cell[2]][0]
    for atoms in (skewed, mirrored, far):
        assert energy_of(atoms, calculator()) == pytest.approx(energy, abs=1e-7)


class NotFinite(PairPotential):
    """Diverges, as networks do far from their training data."""

    def evaluate(self, configurations):
        answer = super().evaluate(configurations)
        return Evaluation(answer.energies, answer.energy, answer.forces * torch.nan, answer.stress)


def test_answers_that_are_not_finite_never_reach_the_user():
    atoms = strained_salt()
    atoms.calc = PotentialCalculator(NotFinite())
    with pytest.raises(CalculationFailed, match="forces that is not finite"):
        atoms.get_potential_energy()
    assert atoms.calc.results == {}
    atoms.calc = PotentialCalculator(CalculatorPotential(EMT()))  # knows no sodium
    with pytest.raises(CalculationFailed, match="no answer for Cl4Na4"):
        atoms.get_potential_energy()


def test_overlapping_atoms_repel():
    atoms = strained_salt()
    atoms.positions[1] = atoms.positions[0] + [0.01, 0, 0]
    assert energy_of(atoms, calculator()) > energy_of(strained_salt(), calculator()) + 1
    assert atoms.get_forces()[1, 0] > 0 > atoms.get_forces()[0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forces_and_stress_are_derivatives(dtype):
    atoms = strained_salt()
    atoms.calc = calculator(dtype)
    double = dtype == torch.float64
    forces = numerical_forces(atoms, eps=1e-4 if double else 1e-2)
    assert np.abs(atoms.get_forces() - forces).max() <= (1e-6 if double else 5e-3) * max(
        1, np.abs(forces).max()
    )
    stress = numerical_stress(atoms, eps=1e-5 if double else 1e-3)
    assert np.abs(atoms.get_stress() - stress).max() <= (1e-6 if double else 5e-5)
    assert (
        len(set(np.round(np.abs(atoms.get_stress()), 5))) == 6
    )  # a wrong Voigt order could not hide


def test_stress_of_a_stretched_crystal_is_positive_and_in_the_slots_of_ase():
    """Golden values of EMT, passed through potential and calculator: Cu4, a = 3.6, symmetric shears
    of 0.02.
    """
    for (i, j), slot in {(0, 1): 5, (1, 2): 3}.items():
        strain = np.eye(3)
        strain[i, j] = strain[j, i] = 0.02
        atoms = bulk("Cu", a=3.6, cubic=True)
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.calc = PotentialCalculator(CalculatorPotential(EMT()))
        assert atoms.get_stress()[slot] == pytest.approx(0.02181385, abs=1e-7)
    stretched = bulk("Cu", a=3.7)
    stretched.calc = PotentialCalculator(CalculatorPotential(EMT()))
    assert stretched.get_potential_energy() == pytest.approx(0.03029608, abs=1e-7)
    assert stretched.get_stress()[:3] == pytest.approx(0.06288721, abs=1e-7)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_energy_is_extensive_and_free_of_the_choice_of_cell(dtype, tolerance):
    calc = calculator(dtype)
    atoms = strained_salt()
    energy = energy_of(atoms, calc) / len(atoms)
    large = atoms * (2, 1, 2)
    assert energy_of(large, calc) / len(large) == pytest.approx(energy, abs=tolerance)
    assert large.get_forces()[: len(atoms)] == pytest.approx(
        energy_forces(atoms, calc), abs=100 * tolerance
    )
    other = atoms.copy()
    other.set_cell([atoms.cell[0] + atoms.cell[1], atoms.cell[1], atoms.cell[2]])
    moved = atoms.copy()
    moved.positions += [0.3, -7.1, 100.2]
    turned = atoms.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    for same in (other, moved, turned, atoms[::-1]):
        assert energy_of(same, calc) / len(same) == pytest.approx(energy, abs=tolerance)


def energy_forces(atoms, calc):
    atoms.calc = calc
    return atoms.get_forces()


def test_stress_turns_with_the_crystal():
    atoms = strained_salt()
    atoms.calc = calculator()
    stress = atoms.get_stress(voigt=False)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation)
    turned.positions = atoms.positions @ rotation
    turned.calc = calculator()
    assert turned.get_forces() == pytest.approx(atoms.get_forces() @ rotation, abs=1e-10)
    assert voigt_6_to_full_3x3_stress(turned.get_stress()) == pytest.approx(
        rotation.T @ stress @ rotation, abs=1e-12
    )


def test_periodicity_is_honoured_axis_by_axis():
    slab = fcc111("Cu", (1, 1, 3), vacuum=1.0)
    energies = {}
    for periodic in ((1, 1, 1), (1, 1, 0), (1, 0, 0), (0, 0, 0)):
        slab.pbc = periodic
        energies[periodic] = energy_of(slab, calculator())
        wide = slab.copy()
        wide.set_cell([v if p else 50 * v for v, p in zip(slab.cell.array, periodic, strict=True)])
        wide.pbc = True  # the same bonds, periodic with vacuum along the open axes
        assert energy_of(wide, calculator()) == pytest.approx(energies[periodic], abs=1e-9)
    assert len({round(e, 6) for e in energies.values()}) == 4
    slab.set_cell(np.zeros((3, 3)))
    assert energy_of(slab, calculator()) == pytest.approx(energies[0, 0, 0], abs=1e-9)


def test_one_atom_and_a_lone_atom():
    copper = bulk("Cu")
    copper.calc = calculator()
    assert copper.get_forces() == pytest.approx(np.zeros((1, 3)), abs=1e-6)
    assert energy_of(Atoms("Na"), calculator()) == 0.0  # no neighbours, no pair energy
