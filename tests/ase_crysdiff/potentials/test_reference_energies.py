"""Weights that load and are wrong are refused."""

import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111
from finite_differences import numerical_stress

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.potentials.chgnet import CHGNetPotential
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.matgl import MatglPotential
from ase_crysdiff.potentials.reference_energies import (
    check_reference_energies,
    reference_configurations,
    reference_energies,
    reference_names,
)
from ase_crysdiff.testing.pair_potential import PairPotential

#: matgl 2.0.4 with the weights of TensorNet-MatPES-PBE-v2025.1-PES, eV/atom.
TENSORNET = {"Si": -5.24074, "NaCl": -3.35616, "MgO": -5.86442, "SrTiO3": -7.95696}


def test_a_potential_reproduces_its_own_table():
    potential = PairPotential()
    table = reference_energies(potential)
    assert list(table) == reference_names()
    check_reference_energies(potential, table)
    check_reference_energies(PairPotential(dtype=torch.float32), table, tolerance=1e-5)


def test_changed_weights_are_refused_with_both_columns():
    table = reference_energies(PairPotential())
    with pytest.raises(
        CheckpointError,
        match=r"pair-potential does not reproduce .* NaCl: -\d\.\d+ instead of -\d\.\d+",
    ):
        check_reference_energies(PairPotential(depth=0.31), table)
    with pytest.raises(CheckpointError, match="MgO: .* instead of nan"):
        check_reference_energies(PairPotential(), {"MgO": float("nan")})
    with pytest.raises(InputError, match="no reference energies"):
        check_reference_energies(PairPotential(), {})
    with pytest.raises(InputError, match=r"no reference crystals \['CsCl'\]"):
        check_reference_energies(PairPotential(), {"CsCl": -3.0})


def test_reference_crystals_are_what_their_names_say():
    sets = reference_configurations(reference_names())
    rocksalt = from_atoms(
        [bulk("NaCl", "rocksalt", a=5.64), bulk("MgO", "rocksalt", a=4.21), bulk("Si", a=5.43)]
    )
    assert PairPotential().evaluate(sets).energy[[1, 2, 0]].tolist() == pytest.approx(
        PairPotential().evaluate(rocksalt).energy.tolist()
    )


def test_chgnet_lies_where_first_principles_do():
    """PBE with the corrections of the Materials Project: NaCl -3.39 - 0.614 / 2 eV/atom."""
    table = reference_energies(CHGNetPotential())
    assert table["NaCl"] == pytest.approx(-3.39 - 0.614 / 2, abs=0.06)
    assert table["Si"] == pytest.approx(-5.42, abs=0.15)
    assert table["SrTiO3 displaced"] > table["SrTiO3"]


@pytest.fixture(scope="module")
def folder(data):
    found = data.parent / "models" / "matgl" / "TensorNet-MatPES-PBE-v2025.1-PES"
    if not found.is_dir():
        pytest.skip("The weights of TensorNet for matgl 2 are not beside the data packs")
    return found


def repaired(folder):
    """The loaded potential with the halves of its pair embedding in the order that matgl 4
    expects.
    """
    import matgl

    potential = matgl.load_model(str(folder))
    weight = potential.model.tensor_embedding.emb2.weight
    half = weight.shape[1] // 2
    weight.data = torch.cat([weight.data[:, half:], weight.data[:, :half]], dim=1)
    return potential


@pytest.mark.data
@pytest.mark.filterwarnings("ignore")
def test_weights_of_matgl_2_are_refused_and_accepted_after_repair(folder):
    with pytest.raises(CheckpointError, match=r"NaCl: -2\.68849 instead of -3\.39"):
        MatglPotential(folder)
    with pytest.raises(
        CheckpointError, match=r"NaCl: -2\.68849 .* MgO: -2\.29774 .* SrTiO3: -4\.47709"
    ):
        MatglPotential(folder, TENSORNET)
    MatglPotential(
        folder, {"Si": TENSORNET["Si"]}
    )  # an element cannot show it: why the default has a binary
    potential = MatglPotential(repaired(folder), TENSORNET, tolerance=1e-4)
    assert len(potential.elements) == 89

    atoms = bulk("NaCl", "rocksalt", a=5.5)
    atoms.rattle(0.1, seed=0)
    atoms.set_cell(
        atoms.cell.array @ np.array([[1, 0.04, 0], [0, 1, 0.02], [0, 0, 1.03]]), scale_atoms=True
    )
    atoms.calc = PotentialCalculator(potential)
    assert atoms.get_stress() == pytest.approx(numerical_stress(atoms, eps=1e-3), abs=1e-4)

    slab = fcc111("Cu", (1, 1, 3), vacuum=6.0)
    with pytest.raises(InputError, match="periodic along"):
        potential.evaluate(from_atoms([slab]))
    close = bulk("NaCl", "rocksalt", a=5.5)
    close.positions[1] = close.positions[0] + [0.04, 0, 0]
    answer = potential.evaluate(from_atoms([close, bulk("NaCl", "rocksalt", a=5.64)]))
    assert "0.04 Å apart" in answer.failures[0]
    assert float(answer.energy[1]) / 2 == pytest.approx(TENSORNET["NaCl"], abs=1e-4)


def test_names_are_not_looked_up_on_the_network():
    with pytest.raises(InputError, match="not looked up on the network"):
        MatglPotential("TensorNet-MatPES-PBE-v2025.1-PES")
