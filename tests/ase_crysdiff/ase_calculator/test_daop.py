"""DAOPCalculator with an untrained network of toy size: names, parameters, files, processes and the
command line of ASE.
"""

import copy
import json
import multiprocessing
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import get_calculator_class
from ase.db import connect
from ase.io import read, write
from pymatgen.core import Lattice, Structure

from ase_crysdiff.errors import CheckpointError, InputError, UnknownNameError
from calculators import DAOPCalculator, PotentialCalculator


def salt():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.rattle(0.1, seed=1)
    return atoms


def energy_of(atoms, calc):
    atoms.calc = calc
    return atoms.get_potential_energy()


def test_a_folder_of_weights_makes_a_calculator(folder):
    atoms = salt()
    atoms.calc = DAOPCalculator(model=folder)
    assert np.isfinite(atoms.get_potential_energy())
    assert np.abs(atoms.get_forces()).max() > 1e-4
    assert atoms.get_stress().shape == (6,)
    assert atoms.get_potential_energies().sum() == pytest.approx(
        atoms.get_potential_energy(), abs=1e-5
    )
    assert isinstance(atoms.calc, PotentialCalculator)
    for open_atoms in (molecule("H2O"), fcc111("Cu", (1, 1, 3), vacuum=5.0)):
        assert np.isfinite(energy_of(open_atoms, DAOPCalculator(model=folder)))


def test_parameters_are_plain_and_defaults_are_not_repeated(folder):
    calc = DAOPCalculator(model=folder, device="cpu", dtype="float64")
    assert json.loads(json.dumps(calc.todict())) == {
        "model": str(folder),
        "device": "cpu",
        "dtype": "float64",
    }
    assert DAOPCalculator.default_parameters == {
        "model": "dao-p",
        "device": "auto",
        "dtype": "float32",
    }
    assert calc.potential.dtype == torch.float64
    assert DAOPCalculator(model=folder, stress_weight=0.01).todict() == {
        "model": str(folder)
    }  # as pymatgen calls classes


def test_a_changed_parameter_drops_results_and_loads_again(folder):
    atoms = salt()
    calc = DAOPCalculator(model=folder)
    single = energy_of(atoms, calc)
    assert calc.set(dtype="float64") == {"dtype": "float64"}
    assert calc.results == {}
    double = atoms.get_potential_energy()
    assert calc.potential.dtype == torch.float64
    assert double == pytest.approx(single, abs=1e-4)
    assert calc.set(dtype="float64") == {}
    with pytest.raises(
        InputError, match=r"no parameters \['cutoff'\]; it has \['device', 'dtype', 'model'\]"
    ):
        calc.set(cutoff=3)


def test_wrong_arguments_are_refused_when_the_calculator_is_made(folder):
    with pytest.raises(UnknownNameError, match="dao-q"):
        DAOPCalculator(model="dao-q")
    with pytest.raises(InputError, match="dtype is one of"):
        DAOPCalculator(model=folder, dtype="float16")
    for device in ("gpu", "cuda:99"):
        with pytest.raises(InputError, match=f"device '{device}' cannot be used"):
            DAOPCalculator(model=folder, device=device)
    with pytest.raises(TypeError):
        DAOPCalculator(model=folder, precision="double")


def test_damaged_weights_are_refused(folder, tmp_path):
    for name in ("card.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    card = json.loads((tmp_path / "card.json").read_text())
    card["config"]["reference_energies"]["NaCl"] += 0.1
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="does not reproduce its reference energies .*NaCl"):
        DAOPCalculator(model=tmp_path)
    raw = bytearray((folder / "weights.safetensors").read_bytes())
    raw[-10] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(raw)
    with pytest.raises(CheckpointError, match="SHA-256"):
        DAOPCalculator(model=tmp_path)


def test_pickles_hold_no_weights_and_give_the_same_energies(folder):
    calc = DAOPCalculator(model=folder)
    energy = energy_of(salt(), calc)
    for twin in (pickle.loads(pickle.dumps(calc)), copy.deepcopy(calc)):  # noqa: S301
        assert energy_of(salt(), twin) == energy
    assert len(pickle.dumps(DAOPCalculator(model=folder))) < 2000
    assert copy.deepcopy(calc).potential is calc.potential


def _energy(calc):
    return energy_of(salt(), calc)


@pytest.mark.slow
def test_calculators_travel_to_spawned_processes(folder):
    calc = DAOPCalculator(model=folder)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_energy, [calc]) == [energy_of(salt(), calc)]


def test_files_remember_the_calculator(folder, tmp_path):
    atoms = salt()
    energy = energy_of(atoms, DAOPCalculator(model=folder))
    write(tmp_path / "a.traj", atoms)
    assert read(tmp_path / "a.traj").calc.name == "daop"
    with connect(tmp_path / "a.db") as database:
        database.write(atoms)
    row = connect(tmp_path / "a.db").get(1)
    assert (row.calculator, row.calculator_parameters) == ("daop", {"model": str(folder)})
    assert row.energy == pytest.approx(energy)
    again = get_calculator_class(row.calculator)(**row.calculator_parameters)
    assert energy_of(row.toatoms(), again) == pytest.approx(energy, abs=1e-6)


@pytest.mark.slow
def test_ase_run_daop_works(folder, tmp_path):
    write(tmp_path / "a.traj", salt())
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ase",
            "run",
            "daop",
            "a.traj",
            "-p",
            "dtype=float64",
            "-o",
            "out.json",
        ],
        cwd=tmp_path,
        env={**os.environ, "CRYSDIFF_WEIGHTS": str(folder.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    double = DAOPCalculator(model=folder, dtype="float64")
    assert read(tmp_path / "out.json").get_potential_energy() == pytest.approx(
        energy_of(salt(), double), abs=1e-9
    )


def test_pymatgen_takes_the_class_and_the_instance(folder, monkeypatch):
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(folder.parent))
    structure = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    by_class = structure.calculate(DAOPCalculator)
    assert by_class.results["energy"] == structure.calculate(DAOPCalculator()).results["energy"]
    assert len(structure.relax(DAOPCalculator, steps=2)) == 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_the_same_answer(folder):
    on_gpu = DAOPCalculator(model=folder)
    assert on_gpu.potential.device.type == "cuda"
    assert energy_of(salt(), on_gpu) == pytest.approx(
        energy_of(salt(), DAOPCalculator(model=folder, device="cpu")), abs=1e-4
    )
