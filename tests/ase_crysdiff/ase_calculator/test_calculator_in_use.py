"""A calculator in optimisers, files, databases, other processes and pymatgen, on an analytic
potential.
"""

import copy
import io
import json
import multiprocessing
import pickle
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.calculator import (
    BaseCalculator,
    all_changes,
)
from ase.calculators.mixing import SumCalculator
from ase.db import connect
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.io.trajectory import Trajectory
from ase.optimize import FIRE, LBFGS
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import strained_salt
from ase_crysdiff.testing.pair_potential import PairPotential


def calculator(dtype=torch.float64):
    return PotentialCalculator(PairPotential(dtype=dtype))


def energy_of(atoms, calc):
    atoms.calc = calc
    return atoms.get_potential_energy()


@pytest.mark.parametrize("optimiser", [LBFGS, FIRE])
def test_cells_relax_to_zero_stress(optimiser):
    atoms = bulk("Cu", a=3.75, cubic=True)
    atoms.rattle(0.03, seed=3)
    atoms.calc = calculator()
    start = atoms.get_potential_energy()
    assert optimiser(FrechetCellFilter(atoms), logfile=None).run(fmax=0.005, steps=300)
    assert atoms.get_potential_energy() < start
    assert np.abs(atoms.get_stress()).max() <= 0.005 * len(atoms) / atoms.get_volume()


def test_sum_calculator_adds():
    atoms = strained_salt()
    atoms.calc = calculator()
    single = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    atoms.calc = SumCalculator([calculator(), calculator()])
    for one, two in zip(
        single, (atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()), strict=True
    ):
        assert two == pytest.approx(2 * one)


def test_parameters_are_small_plain_text_that_cannot_be_changed():
    calc = calculator(torch.float32)
    assert json.loads(json.dumps(calc.todict())) == {
        "potential": "pair-potential",
        "device": "cpu",
        "dtype": "float32",
    }
    assert calc.set(dtype="float32") == {}
    with pytest.raises(InputError, match="make a new calculator"):
        calc.set(dtype="float64")
    with pytest.raises(InputError, match="Potential instance"):
        PotentialCalculator(PairPotential)
    with pytest.raises(InputError, match="shipped model use DAOPCalculator"):
        PotentialCalculator("dao-p")
    with pytest.raises(TypeError):
        PotentialCalculator(PairPotential(), cutof=3)
    with pytest.raises(InputError, match="no atoms"):
        calc.calculate()


def test_trajectory_database_and_extxyz_keep_results(tmp_path):
    atoms = strained_salt()
    atoms.calc = calculator()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    with Trajectory(tmp_path / "a.traj", "w") as file:
        file.write(atoms)
    write(tmp_path / "a.extxyz", atoms)
    write(tmp_path / "a.json", atoms)
    with connect(tmp_path / "a.db") as database:
        database.write(atoms)
    row = connect(tmp_path / "a.db").get(id=1)
    assert row.calculator == "crysdiff"
    for found in (
        read(tmp_path / "a.traj"),
        read(tmp_path / "a.extxyz"),
        read(tmp_path / "a.json"),
        row.toatoms(),
    ):
        assert found.get_potential_energy() == pytest.approx(energy, abs=1e-7)
        assert found.get_forces() == pytest.approx(forces, abs=1e-7)
        assert found.get_stress() == pytest.approx(stress, abs=1e-7)
    assert read(tmp_path / "a.traj").calc.name == "crysdiff"


def test_copies_and_pickles_work_before_and_after_use():
    atoms = strained_salt()
    fresh = calculator(torch.float32)
    used = calculator(torch.float32)
    energy = energy_of(atoms, used)
    for calc in (fresh, used):
        for twin in (copy.deepcopy(calc), pickle.loads(pickle.dumps(calc))):  # noqa: S301
            assert energy_of(strained_salt(), twin) == energy
    twin = copy.deepcopy(used)
    twin.results["forces"][:] = 0
    assert np.abs(used.results["forces"]).max() > 0
    assert energy_of(copy.deepcopy(atoms), used) == energy


def _energy_in_another_process(calc):
    return energy_of(strained_salt(), calc)


@pytest.mark.slow
def test_calculators_travel_to_spawned_processes():
    calc = calculator()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert (
            pool.map(_energy_in_another_process, [calc, calc])
            == [energy_of(strained_salt(), calc)] * 2
        )


def test_making_and_using_a_calculator_leaves_no_trace():
    dtype, grad, properties = (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        list(BaseCalculator.implemented_properties),
    )
    state = torch.random.get_rng_state()
    with redirect_stdout(io.StringIO()) as out:
        for d in (torch.float32, torch.float64):  # two formats side by side
            energy_of(strained_salt(), calculator(d))
        with torch.no_grad():
            energy_of(strained_salt(), calculator())
            assert not torch.is_grad_enabled()
    assert out.getvalue() == ""
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (dtype, grad)
    assert list(BaseCalculator.implemented_properties) == properties
    assert torch.equal(torch.random.get_rng_state(), state)


def test_calculate_has_the_signature_of_ase():
    calc = calculator()
    calc.calculate(atoms=strained_salt(), properties=["energy"], system_changes=all_changes)
    assert calc.results["energy"] == energy_of(strained_salt(), calculator())


def test_pymatgen_relaxes_and_calculates():
    structure = Structure.from_spacegroup(
        "Fm-3m",
        AseAtomsAdaptor.get_structure(strained_salt()).lattice.cubic(5.6),
        ["Na", "Cl"],
        [[0, 0, 0], [0.5, 0.5, 0.5]],
    )
    relaxed = structure.relax(calculator=calculator(), fmax=0.01, steps=100)
    assert relaxed.calc.get_potential_energy() < structure.calculate(calculator()).results["energy"]
    assert relaxed.volume < structure.volume
