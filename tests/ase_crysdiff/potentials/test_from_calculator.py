"""Any ASE calculator as a potential, and what no potential may be asked."""

import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.checks import element_ranges, problems
from ase_crysdiff.potentials.convert import from_atoms, to_atoms
from ase_crysdiff.potentials.from_calculator import CalculatorPotential
from ase_crysdiff.testing.pair_potential import PairPotential


def copper(seed=0):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


def test_a_calculator_answers_set_by_set():
    sets = [copper(0), fcc111("Al", (1, 1, 3), vacuum=6.0), copper(1) * (1, 1, 2), molecule("H2O")]
    answer = CalculatorPotential(EMT()).evaluate(from_atoms(sets))
    assert answer.failures == {}
    at = 0
    for i, atoms in enumerate(sets):
        atoms.calc = EMT()
        part = slice(at, at := at + len(atoms))
        assert float(answer.energy[i]) == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
        assert answer.forces[part].numpy() == pytest.approx(atoms.get_forces(), abs=1e-10)
        assert answer.energies[part].numpy() == pytest.approx(
            atoms.get_potential_energies(), abs=1e-10
        )
        if atoms.pbc.all():
            assert answer.stress[i].numpy() == pytest.approx(
                atoms.get_stress(voigt=False), abs=1e-12
            )
        else:
            assert answer.stress[i].isnan().all()


class EnergyOnly(Calculator):
    """No per-atom energies, no stress; fails for gold, diverges for silver."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if 79 in atoms.numbers:
            raise RuntimeError("the engine crashed")
        self.results = {
            "energy": -3.0 if 47 not in atoms.numbers else np.nan,
            "forces": np.zeros((len(atoms), 3)),
        }


def test_what_a_calculator_lacks_is_said_and_failures_stay_alone():
    potential = CalculatorPotential(EnergyOnly(), name="engine")
    answer = potential.evaluate(from_atoms([copper(), bulk("Au"), bulk("Ag"), bulk("Cu")]))
    assert answer.failures == {
        1: "engine failed: RuntimeError: the engine crashed",
        2: "engine gave an energy or a force that is not finite.",
    }
    assert answer.energy.tolist() == pytest.approx([-3, np.nan, np.nan, -3], nan_ok=True)
    assert answer.energies[:4].tolist() == [-0.75] * 4
    assert answer.stress.isnan().all()


def test_there_and_back_is_the_same():
    """Potential → calculator → potential."""
    twice = CalculatorPotential(PotentialCalculator(PairPotential()))
    sets = from_atoms([copper(), molecule("H2O"), copper(3)])
    one, two = PairPotential().evaluate(sets), twice.evaluate(sets)
    for name in ("energy", "energies", "forces", "stress"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name), equal_nan=True)


def test_only_instances_are_wrapped():
    with pytest.raises(InputError, match="instance of an ASE calculator"):
        CalculatorPotential(EMT)
    with pytest.raises(InputError, match="instance of an ASE calculator"):
        CalculatorPotential("emt")
    assert CalculatorPotential(LennardJones()).name == "lennardjones"
    with pytest.raises(InputError, match="does not know Cu; it knows He, Ne"):
        CalculatorPotential(LennardJones(), elements=frozenset({2, 10})).evaluate(
            from_atoms([copper()])
        )


def test_atoms_survive_the_round_trip():
    sets = [copper(), molecule("H2O"), fcc111("Al", (1, 1, 2), vacuum=5.0)]
    for before, after in zip(sets, to_atoms(from_atoms(sets)), strict=True):
        assert np.array_equal(before.numbers, after.numbers)
        assert np.array_equal(before.pbc, after.pbc)
        assert after.cell.array == pytest.approx(before.cell.array)
        assert after.get_all_distances(mic=bool(before.pbc.any())) == pytest.approx(
            before.get_all_distances(mic=bool(before.pbc.any())), abs=1e-10
        )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=3, max_size=3),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.integers(0, 1000),
)
def test_wrapping_moves_atoms_by_periodic_vectors_only(shift, periodic, seed):
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.rattle(0.2, seed=seed)
    atoms.pbc = periodic
    moved = atoms.copy()
    moved.positions[1] += (np.array(shift) * periodic) @ atoms.cell.array
    once, again = from_atoms([atoms]), from_atoms([moved])
    assert again.positions.numpy() == pytest.approx(once.positions.numpy(), abs=1e-9)
    steps = np.linalg.solve(atoms.cell.array.T, (once.positions.numpy() - atoms.positions).T).T
    assert steps == pytest.approx(np.round(steps), abs=1e-9)
    assert (np.abs(steps[:, ~np.array(periodic)]) < 1e-9).all()


def test_problems_name_every_bad_set():
    lost = copper()
    lost.positions[2] = np.nan
    flat = copper()
    flat.set_cell([3, 3, 1e-8])
    reasons = problems(from_atoms([copper(), lost, flat, copper()]), frozenset(range(1, 100)), "x")
    assert reasons.keys() == {1, 2}
    assert "atom 2 is not finite" in reasons[1]
    assert "repeats every 1e-08 Å" in reasons[2]
    assert (
        problems(from_atoms([fcc111("Cu", (1, 1, 1))]), frozenset({29}), "x") == {}
    )  # a slab without height
    assert element_ranges({1, 2, 3, 26, 92, 93}) == "H-Li, Fe, U-Np"


def test_skewed_cells_of_sound_lattices_are_accepted():
    atoms = copper()
    atoms.set_cell(np.array([[1, 0, 0], [100, 1, 0], [-77, 50, 1]]) @ atoms.cell.array)
    assert problems(from_atoms([atoms]), frozenset({29}), "x") == {}
