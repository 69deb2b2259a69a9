"""CHGNet as a potential, against the calculator of its authors."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from finite_differences import numerical_stress

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.chgnet import UNTRAINED, CHGNetPotential
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.from_calculator import CalculatorPotential


@pytest.fixture(scope="module")
def chgnet():
    return CHGNetPotential(batch_size=2)


@pytest.fixture(scope="module")
def theirs():
    from chgnet.model.dynamics import CHGNetCalculator

    with redirect_stdout(io.StringIO()):
        return CHGNetCalculator(use_device="cpu")


def sheared():
    salt = bulk("NaCl", "rocksalt", a=5.69)
    salt.rattle(0.1, seed=1)
    salt.set_cell(
        salt.cell.array @ np.array([[1, 0.05, 0], [0, 1, 0.02], [0, 0, 1.03]]), scale_atoms=True
    )
    return salt


def crystals():
    iron = bulk("Fe", cubic=True) * (2, 1, 1)
    iron.rattle(0.05, seed=2)
    return [sheared(), bulk("Na", "bcc", a=4.19), iron, sheared() * (1, 2, 1)]


@pytest.mark.filterwarnings("ignore:Converting a tensor")
def test_chgnet_equals_the_calculator_of_its_authors(chgnet, theirs):
    ours = chgnet.evaluate(from_atoms(crystals()))
    expected = CalculatorPotential(theirs).evaluate(from_atoms(crystals()))
    assert ours.failures == expected.failures == {}
    assert ours.energy.double().numpy() == pytest.approx(expected.energy.numpy(), abs=1e-5)
    assert ours.forces.double().numpy() == pytest.approx(expected.forces.numpy(), abs=1e-5)
    assert ours.stress.double().numpy() == pytest.approx(expected.stress.numpy(), abs=1e-6)
    assert ours.stress.abs().max() > 0.005  # eV/Å³; in GPa it would be 160 times more


@pytest.mark.parametrize(
    ("atoms", "energy"),
    [
        (bulk("Na", "bcc", a=4.19), -1.28892),
        (bulk("NaCl", "rocksalt", a=5.69), -3.66796),
        (bulk("Li", "bcc", a=3.44), -1.87967),
        (
            Atoms(
                "OLi2",
                cell=bulk("Cu", a=4.63).cell,
                scaled_positions=[[0] * 3, [0.25] * 3, [0.75] * 3],
                pbc=True,
            ),
            -4.92667,
        ),
    ],
)
def test_chgnet_gives_golden_energies(chgnet, atoms, energy):
    """Values of the weights 0.3.0, eV/atom."""
    answer = chgnet.evaluate(from_atoms([atoms]))
    assert float(answer.energy[0]) / len(atoms) == pytest.approx(energy, abs=1e-4)
    assert float(answer.energies.sum()) == pytest.approx(float(answer.energy[0]), abs=1e-5)


def test_chgnet_stress_has_the_sign_and_the_slots_of_ase(chgnet):
    atoms = sheared()
    atoms.calc = PotentialCalculator(chgnet)
    numerical = numerical_stress(atoms, eps=1e-3)
    assert atoms.get_stress() == pytest.approx(numerical, abs=5e-5)
    assert np.abs(atoms.get_stress()).max() > 20 * 5e-5


def test_one_bad_set_does_not_touch_the_others(chgnet):
    close, lone = sheared(), Atoms("Na", cell=[30] * 3, pbc=True)
    close.positions[1] = close.positions[0] + [0.01, 0, 0]
    good = crystals()
    answer = chgnet.evaluate(
        from_atoms([good[0], close, good[1], lone, Atoms("Na", cell=[1e4] * 3, pbc=True)])
    )
    alone = chgnet.evaluate(from_atoms(good[:2]))
    assert "0.01 Å apart" in answer.failures[1]
    assert "no neighbour within 6 Å" in answer.failures[3]
    assert "1e+12 Å³" in answer.failures[4]
    assert answer.energy[[0, 2]].numpy() == pytest.approx(alone.energy.numpy(), abs=1e-5)
    assert answer.energy[[1, 3, 4]].isnan().all()
    assert answer.forces.isnan().any(1).tolist() == [False, False, True, True, False, True, True]
    assert chgnet.evaluate(from_atoms([lone])).failures.keys() == {0}


def test_chgnet_refuses_what_it_does_not_know(chgnet):
    slab = sheared()
    slab.pbc = [True, True, False]
    with pytest.raises(
        InputError, match=r"all three axes only; system 1 is periodic along \[True, True, False\]"
    ):
        chgnet.evaluate(from_atoms([sheared(), slab]))
    with pytest.raises(InputError, match="periodic along all three"):
        chgnet.evaluate(from_atoms([molecule("H2O")]))
    for number, symbol in {84: "Po", 95: "Am"}.items():
        exotic = sheared()
        exotic.numbers[0] = number
        with pytest.raises(
            InputError, match=f"System 1: chgnet does not know {symbol}; it knows H-Bi, Ac-Pu"
        ):
            chgnet.evaluate(from_atoms([sheared(), exotic]))
    with pytest.raises(InputError, match="not '0.9'"):
        CHGNetPotential("0.9")


def test_excluded_elements_are_those_whose_embedding_was_never_trained(chgnet):
    """An untrained row of N(0, 1) has 64 squares with mean 1; 1.4 is four standard errors above,
    training goes beyond.
    """
    squares = (chgnet._model.atom_embedding.embedding.weight.double() ** 2).mean(1)
    assert {z + 1 for z in range(94) if squares[z] < 1.4} == UNTRAINED


def test_chgnet_is_silent_and_leaves_no_trace():
    state, grad = torch.random.get_rng_state(), torch.is_grad_enabled()
    with redirect_stdout(io.StringIO()) as out, torch.no_grad():
        CHGNetPotential().evaluate(from_atoms(crystals()[:1]))
        assert not torch.is_grad_enabled()
    assert out.getvalue() == ""
    assert torch.is_grad_enabled() == grad
    assert torch.equal(torch.random.get_rng_state(), state)


def test_empty_batches_have_empty_answers(chgnet):
    answer = chgnet.evaluate(from_atoms([]))
    assert (len(answer.energy), len(answer.forces), len(answer.stress)) == (0, 0, 0)
