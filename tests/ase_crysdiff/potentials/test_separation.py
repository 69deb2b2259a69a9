"""From atoms in crystals to free atoms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from ase_crysdiff.data.labels import graph_of
from ase_crysdiff.networks.graph import Neighborhood
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.separation import REACH, separation

NEAR = Neighborhood(None, 5.0, reach=REACH)


def terms(atoms, depth=4.0):
    graph = graph_of(from_atoms([atoms]).to(dtype=torch.float64), NEAR)
    return separation(graph, torch.full((len(atoms),), depth, dtype=torch.float64))


@pytest.mark.parametrize("name", ["Cu", "Si", "NaCl", "Cs", "Pb", "W", "Mg"])
@pytest.mark.parametrize("stretch", [0.9, 1.0, 1.1])
def test_bound_atoms_know_nothing_of_it(name, stretch):
    atoms = bulk(name, "rocksalt", a=5.64) if name == "NaCl" else bulk(name)
    atoms.set_cell(atoms.cell * stretch, scale_atoms=True)
    found = terms(atoms)
    assert float(found.energies.abs().max()) < 1e-4
    assert float(found.forces.abs().max()) < 1e-3


@pytest.mark.parametrize("name", ["N2", "O2", "H2O", "CO2"])
def test_molecules_are_bound(name):
    assert float(terms(molecule(name)).energies.abs().max()) < 1e-6


def test_far_atoms_have_the_whole_depth():
    alone = Atoms("Si", cell=[20] * 3, pbc=True)
    assert terms(alone).energies.tolist() == [4.0]
    pair = Atoms("Si2", [[0, 0, 0], [0, 0, 3.6]])  # 1.6 times the bond length is 3.55 Å
    assert terms(pair).energies.tolist() == [4.0, 4.0]
    assert not terms(pair).forces.any()


def test_energies_rise_and_never_fall_on_the_way_out():
    lengths = np.linspace(2.2, 3.7, 60)
    found = [float(terms(Atoms("Si2", [[0, 0, 0], [0, 0, r]])).energies.sum()) for r in lengths]
    assert np.all(np.diff(found) >= -1e-12)
    assert found[0] < 1e-3
    assert found[-1] == pytest.approx(8.0)


def test_forces_and_virials_are_gradients():
    rng = np.random.default_rng(1)
    atoms = bulk("Al", cubic=True)
    atoms.set_cell(atoms.cell * 1.45, scale_atoms=True)
    atoms.positions += rng.normal(0, 0.2, (4, 3))
    found, step = terms(atoms), 1e-5
    assert float(found.energies.sum()) > 0.1
    for atom, axis in [(0, 0), (2, 1)]:
        sides = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            sides.append(float(terms(moved).energies.sum()))
        assert float(found.forces[atom, axis]) == pytest.approx(
            -(sides[0] - sides[1]) / (2 * step), abs=1e-6
        )
    sides = []
    for sign in (1, -1):
        strained = atoms.copy()
        strain = np.eye(3)
        strain[0, 0] += sign * step
        strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        sides.append(float(terms(strained).energies.sum()))
    assert float(found.virials[0, 0, 0]) == pytest.approx(
        (sides[0] - sides[1]) / (2 * step), abs=1e-5
    )


def test_the_graph_stays_as_it_is():
    graph = graph_of(from_atoms([bulk("Al")]).to(dtype=torch.float64), NEAR)
    before = replace(graph, vectors=graph.vectors.clone())
    separation(graph, torch.ones(1, dtype=torch.float64))
    assert torch.equal(graph.vectors, before.vectors)
    assert not graph.vectors.requires_grad
