"""The bulk modulus that judges stiff crystals is that of the equation of state."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.eos import EquationOfState
from ase.units import GPa
from pymatgen.io.ase import AseAtomsAdaptor

from calculators import DAOPCalculator

SCRIPT = Path(__file__).parents[2] / "experiments" / "wished_stiffness.py"
specification = importlib.util.spec_from_file_location("wished_stiffness", SCRIPT)
experiment = importlib.util.module_from_spec(specification)
specification.loader.exec_module(experiment)


def test_bulk_moduli_are_those_of_the_equation_of_state():
    volumes, energies = [], []
    for a in np.linspace(4.1, 4.35, 7):
        atoms = bulk("MgO", "rocksalt", a=a)
        atoms.calc = DAOPCalculator()
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    expected = EquationOfState(volumes, energies, eos="birchmurnaghan").fit()[2] / GPa
    salt, oxide = (
        AseAtomsAdaptor.get_structure(bulk(name, "rocksalt", a=a))
        for name, a in (("NaCl", 5.7), ("MgO", 4.25))
    )
    soft, stiff = experiment.bulk_moduli([salt, oxide], "dao-p")
    assert stiff == pytest.approx(expected, rel=0.05)
    assert 5 < soft < 60
