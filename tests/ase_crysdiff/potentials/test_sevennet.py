"""SevenNet as a potential, against the calculator of its authors, where its package is there."""

from importlib.util import find_spec

import pytest
import torch
from ase import Atoms
from ase.build import bulk

from ase_crysdiff.errors import IncompatibleError, InputError, MissingExtraError
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.from_calculator import CalculatorPotential
from ase_crysdiff.potentials.loading import sevennet
from ase_crysdiff.potentials.sevennet import SevenNetPotential
from ase_crysdiff.testing.potentials import CHECKS

needed = pytest.mark.skipif(find_spec("sevenn") is None, reason="sevenn is not installed")


@pytest.fixture(scope="module")
def potential():
    return SevenNetPotential("0")


def crystals():
    salt = bulk("NaCl", "rocksalt", a=5.69) * (2, 1, 1)
    salt.rattle(0.1, seed=1)
    return [salt, bulk("Na", "bcc", a=4.19), bulk("FeO", "rocksalt", a=4.3)]


@needed
@pytest.mark.filterwarnings("ignore")
def test_energies_are_those_of_its_calculator_with_the_corrections(potential):
    ours = potential.evaluate(from_atoms(crystals()))
    theirs = CalculatorPotential(potential.calculator).evaluate(from_atoms(crystals()))
    added = (ours.energy - theirs.energy).tolist()
    assert added == pytest.approx([-0.614 * 2, 0.0, -0.687 - 2.256], abs=1e-4)
    torch.testing.assert_close(ours.forces.double(), theirs.forces, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.stress.double(), theirs.stress, atol=1e-6, rtol=0)
    plain = SevenNetPotential("0", corrected=False).evaluate(from_atoms(crystals()))
    torch.testing.assert_close(plain.energy, theirs.energy)


@needed
def test_lone_atoms_are_refused_alone(potential):
    found = potential.evaluate(from_atoms([Atoms("Si", cell=[12] * 3, pbc=True), crystals()[0]]))
    assert list(found.failures) == [0]
    assert "no neighbour within 5 Å" in found.failures[0]
    assert bool(found.energy.isnan()[0])
    assert bool(found.energy.isfinite()[1])


@needed
@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_it_keeps_the_contract_of_potentials(potential, check):
    check(potential)


@needed
def test_references_give_formation_energies():
    teacher = SevenNetPotential("l3i5")
    salt = bulk("NaCl", "rocksalt", a=5.69)
    energy = float(teacher.evaluate(from_atoms([salt])).energy[0]) / 2
    reference = (teacher.formation_references[11] + teacher.formation_references[17]) / 2
    assert energy - reference == pytest.approx(-2.10, abs=0.03)


@pytest.mark.skipif(find_spec("sevenn") is not None, reason="sevenn is installed")
def test_the_missing_package_is_named():
    with pytest.raises(MissingExtraError, match=r"pip install 'ase-crysdiff\[sevennet\]'"):
        SevenNetPotential()


def test_what_it_cannot_do_is_refused():
    with pytest.raises(InputError, match="weights"):
        SevenNetPotential("omni")
    with pytest.raises(InputError, match="weights of its package"):
        sevennet("l3i5", weights="folder")
    with pytest.raises(IncompatibleError, match=r"torch\.float32 only"):
        sevennet("0", dtype=torch.float64)
