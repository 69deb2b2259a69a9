"""Potentials as models of torch-sim."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase.build import bulk

from ase_crysdiff.errors import InputError, MissingExtraError
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.torch_sim import as_torch_sim_model, configurations_of, outputs
from ase_crysdiff.testing.pair_potential import PairPotential

HERE = importlib.util.find_spec("torch_sim") is not None


def systems():
    skewed = bulk("NaCl", "rocksalt", 5.6)
    skewed.set_cell(skewed.cell.array + 0.2 * np.eye(3)[::-1], scale_atoms=True)
    skewed.rattle(0.05, seed=1)
    return [skewed, bulk("Cu", cubic=True)]


def state_of(atoms):
    """The fields of torch-sim's state that a model reads, cells as columns."""
    return SimpleNamespace(
        positions=torch.tensor(np.concatenate([a.positions for a in atoms])),
        cell=torch.tensor(np.array([a.cell.array.T for a in atoms])),
        pbc=True,
        atomic_numbers=torch.tensor(np.concatenate([a.numbers for a in atoms])),
        system_idx=torch.arange(len(atoms)).repeat_interleave(
            torch.tensor([len(a) for a in atoms])
        ),
    )


def test_states_are_read_with_cells_as_columns():
    found, expected = configurations_of(state_of(systems())), from_atoms(systems())
    for name in ("cells", "periodic", "species", "num_atoms"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    slab = configurations_of(
        SimpleNamespace(**{**vars(state_of(systems())), "pbc": [True, True, False]})
    )
    assert slab.periodic.tolist() == [[True, True, False]] * 2


def test_outputs_are_those_of_the_potential_and_the_state_stays():
    potential, state = PairPotential(), state_of(systems())
    before = {name: value.clone() for name, value in vars(state).items() if name != "pbc"}
    found = outputs(potential, state)
    answer = potential.evaluate(from_atoms(systems()))
    torch.testing.assert_close(found["energy"], answer.energy)
    torch.testing.assert_close(found["forces"], answer.forces)
    torch.testing.assert_close(found["stress"], answer.stress)
    assert "stress" not in outputs(potential, state, compute_stress=False)
    assert all(torch.equal(value, getattr(state, name)) for name, value in before.items())


def test_systems_out_of_order_are_refused():
    state = state_of(systems())
    state.system_idx = state.system_idx.flip(0)
    with pytest.raises(InputError, match="does not ascend"):
        configurations_of(state)


@pytest.mark.skipif(HERE, reason="torch-sim is installed")
def test_without_torch_sim_the_line_that_installs_it_is_given():
    with pytest.raises(MissingExtraError, match="pip install torch-sim-atomistic"):
        as_torch_sim_model(PairPotential())


@pytest.mark.skipif(not HERE, reason="torch-sim is not installed; it needs Python 3.12")
def test_torch_sim_accepts_the_model():
    from torch_sim.models.interface import validate_model_outputs

    model = as_torch_sim_model(PairPotential())
    validate_model_outputs(model, model.device, model.dtype)
