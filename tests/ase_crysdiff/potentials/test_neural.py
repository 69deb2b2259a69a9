"""What a simulation may expect of the potential, whatever its weights are."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from ase_crysdiff.data.labels import graph_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.encoders.crysformer.periodic import PeriodicCrysformer
from ase_crysdiff.networks.energy import AtomicEnergies
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.neural import NeuralPotential
from ase_crysdiff.potentials.separation import REACH
from ase_crysdiff.potentials.zbl import repulsion
from ase_crysdiff.testing.crystals import prototypes

CUTOFF = 4.0
DOUBLE = torch.float64


def make(dtype=DOUBLE, depths=None, **changes):
    """An untrained potential whose interactions are as strong as a trained one's."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(3)
        network = AtomicEnergies(
            PeriodicCrysformer(
                **{"hidden": 16, "layers": 2, "heads": 2, "cutoff": CUTOFF} | changes
            )
        )
        with torch.no_grad():
            network.out.weight.mul_(4)
    references = -torch.arange(100, dtype=DOUBLE) / 10
    return NeuralPotential("toy", network, references, range(1, 99), dtype=dtype, depths=depths)


@pytest.fixture(scope="module")
def potential():
    return make()


@pytest.fixture(scope="module")
def separable():
    """It knows free atoms: 3 eV above their references."""
    return make(depths=torch.full((100,), 3.0, dtype=DOUBLE), reach=REACH)


def configurations(*systems):
    return Configurations(
        torch.cat([torch.from_numpy(a.positions.copy()) for a in systems]),
        torch.stack([torch.from_numpy(np.array(a.cell.array)) for a in systems]),
        torch.stack([torch.from_numpy(a.pbc.copy()) for a in systems]),
        torch.cat([torch.from_numpy(a.numbers.copy()).long() for a in systems]),
        torch.tensor([len(a) for a in systems]),
    )


def triclinic(seed=0):
    chain = prototypes()["chain"].to_ase_atoms()
    chain = Atoms(chain.symbols, chain.positions, cell=chain.cell.array, pbc=True)
    rng = np.random.default_rng(seed)
    chain.set_cell(
        chain.cell.array @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3))), scale_atoms=True
    )
    chain.positions += rng.normal(0, 0.1, chain.positions.shape)
    return chain


def rattled(atoms, seed=0):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(0, 0.08, atoms.positions.shape)
    return atoms


def energy(potential, atoms):
    return float(potential.evaluate(configurations(atoms)).energy)


SYSTEMS = {
    "triclinic": triclinic(),
    "rocksalt": rattled(bulk("NaCl", "rocksalt", 5.64)),
    "copper": bulk("Cu"),
    "slab": rattled(fcc111("Al", (1, 1, 3), vacuum=6.0)),
    "water": molecule("H2O"),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_forces_are_minus_the_gradient(name, potential):
    atoms, step = SYSTEMS[name], 1e-4
    forces = potential.evaluate(configurations(atoms)).forces.numpy()
    moved = []
    for i in range(len(atoms)):
        for axis in range(3):
            for sign in (1, -1):
                moved.append(atoms.copy())
                moved[-1].positions[i, axis] += sign * step
    up, down = potential.evaluate(configurations(*moved)).energy.view(-1, 2).unbind(1)
    numeric = -((up - down) / (2 * step)).view(-1, 3).numpy()
    assert np.abs(forces - numeric).max() < 1e-5 * max(np.abs(forces).max(), 1e-2)
    if name != "copper":
        assert np.abs(forces).max() > 1e-3


@pytest.mark.parametrize("name", ["triclinic", "rocksalt", "copper"])
def test_stress_is_the_gradient_by_strain(name, potential):
    atoms, step = SYSTEMS[name], 1e-4
    stress = potential.evaluate(configurations(atoms)).stress[0].numpy()
    moved = []
    for i in range(3):
        for j in range(3):
            for sign in (1, -1):
                strain = np.zeros((3, 3))
                strain[i, j] += sign * step / 2
                strain[j, i] += sign * step / 2
                copy = atoms.copy()
                copy.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
                moved.append(copy)
    up, down = potential.evaluate(configurations(*moved)).energy.view(-1, 2).unbind(1)
    numeric = ((up - down) / (2 * step)).view(3, 3).numpy() / atoms.get_volume()
    assert np.abs(stress - numeric).max() < 1e-5 * np.abs(stress).max()
    assert np.abs(stress).max() > 1e-4
    assert np.array_equal(stress, stress.T)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (DOUBLE, 1e-10)])
def test_energy_per_atom_is_the_same_in_every_cell(dtype, tolerance):
    potential = make(dtype)
    for atoms in (SYSTEMS["triclinic"], SYSTEMS["rocksalt"], SYSTEMS["copper"]):
        per_atom = energy(potential, atoms) / len(atoms)
        sheared = atoms.copy()
        cell = atoms.cell.array.copy()
        sheared.set_cell(np.array([[1, 1, 0], [0, 1, -2], [0, 0, 1]]) @ cell)
        sheared.wrap()
        for other in (atoms * (2, 1, 1), atoms * (2, 3, 2), sheared, sheared * (1, 2, 1)):
            assert abs(energy(potential, other) / len(other) - per_atom) < tolerance


def test_supercell_repeats_forces_and_keeps_stress(potential):
    one = potential.evaluate(configurations(SYSTEMS["triclinic"]))
    many = potential.evaluate(configurations(SYSTEMS["triclinic"] * (2, 2, 1)))
    torch.testing.assert_close(many.forces, one.forces.repeat(4, 1), atol=1e-10, rtol=0)
    torch.testing.assert_close(many.stress, one.stress, atol=1e-12, rtol=0)


def test_translation_changes_nothing(potential):
    atoms = SYSTEMS["triclinic"]
    moved = atoms.copy()
    moved.positions += [3.3, -41.2, 0.7]
    images = atoms.copy()
    images.positions[2] += [1, -2, 3] @ atoms.cell.array
    found = potential.evaluate(configurations(atoms, moved, images))
    torch.testing.assert_close(found.energy, found.energy[:1].expand(3), atol=1e-10, rtol=0)
    torch.testing.assert_close(found.forces[5:10], found.forces[:5], atol=1e-10, rtol=0)
    assert float(found.forces[:5].sum(0).abs().max()) < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_rotation_and_reflection_turn_forces_and_stress(seed, potential):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    atoms = SYSTEMS["triclinic"]
    turned = Atoms(atoms.symbols, atoms.positions @ q, cell=atoms.cell.array @ q, pbc=True)
    found = potential.evaluate(configurations(atoms, turned))
    assert float((found.energy[1] - found.energy[0]).abs()) < 1e-10
    rotation = torch.from_numpy(q)
    torch.testing.assert_close(found.forces[5:], found.forces[:5] @ rotation, atol=1e-10, rtol=0)
    torch.testing.assert_close(
        found.stress[1], rotation.T @ found.stress[0] @ rotation, atol=1e-11, rtol=0
    )


def test_permutation_permutes(potential):
    atoms, order = SYSTEMS["triclinic"], [3, 1, 4, 0, 2]
    found = potential.evaluate(configurations(atoms, atoms[order]))
    assert float((found.energy[1] - found.energy[0]).abs()) < 1e-10
    torch.testing.assert_close(found.forces[5:], found.forces[:5][order], atol=1e-10, rtol=0)
    torch.testing.assert_close(found.energies[5:], found.energies[:5][order], atol=1e-10, rtol=0)


def test_a_batch_is_its_members(potential, monkeypatch):
    systems = list(SYSTEMS.values())
    batch = potential.evaluate(configurations(*systems))
    monkeypatch.setattr("ase_crysdiff.potentials.neural.ATOMS", 4)
    cut = potential.evaluate(configurations(*systems))
    torch.testing.assert_close(cut.energies, batch.energies, atol=1e-10, rtol=0)
    start = 0
    for i, atoms in enumerate(systems):
        alone = potential.evaluate(configurations(atoms))
        rows = slice(start, start + len(atoms))
        start += len(atoms)
        torch.testing.assert_close(batch.energies[rows], alone.energies, atol=1e-10, rtol=0)
        torch.testing.assert_close(batch.forces[rows], alone.forces, atol=1e-10, rtol=0)
        torch.testing.assert_close(
            batch.stress[i], alone.stress[0], atol=1e-10, rtol=0, equal_nan=True
        )
        assert float(alone.energies.sum() - alone.energy[0]) == pytest.approx(0, abs=1e-10)
        assert bool(torch.isnan(alone.stress).all()) == (not all(atoms.pbc))


def test_energies_alone_are_the_same_energies(potential):
    sets = configurations(
        triclinic(), rattled(bulk("Cu", cubic=True)), bulk("NaCl", "rocksalt", a=5.6)
    )
    whole, alone = potential.evaluate(sets), potential.evaluate_energies(sets)
    torch.testing.assert_close(alone.energies, whole.energies)
    torch.testing.assert_close(alone.energy, whole.energy)
    assert torch.isnan(alone.forces).all()
    assert torch.isnan(alone.stress).all()
    assert torch.isfinite(whole.forces).all()


def test_stress_needs_three_periodic_axes_and_slabs_are_not_bulk(potential):
    slab = SYSTEMS["slab"]
    as_bulk = slab.copy()
    as_bulk.pbc = True
    thin = as_bulk.copy()
    thin.cell[2, 2] = slab.positions[:, 2].max() - slab.positions[:, 2].min() + 2.3
    open_thin = thin.copy()
    open_thin.pbc = [True, True, False]
    assert energy(potential, slab) == pytest.approx(
        energy(potential, as_bulk), abs=1e-10
    )  # vacuum beyond the cutoff
    assert energy(potential, open_thin) == pytest.approx(energy(potential, slab), abs=1e-10)
    assert abs(energy(potential, thin) - energy(potential, slab)) > 1e-3


@pytest.mark.parametrize("number", [1, 8, 57, 58, 92])
def test_isolated_atoms_have_the_energy_of_free_ones(number, separable):
    for pbc in (False, True):
        atoms = Atoms([number], cell=[20, 20, 20], pbc=pbc)
        found = separable.evaluate(configurations(atoms))
        assert float(found.energy) == 3 - number / 10
        assert float(found.forces.abs().max()) == 0


@pytest.mark.parametrize("cut", [False, True])
def test_where_free_atoms_are_not_known_they_are_refused_alone(cut, potential, monkeypatch):
    """The reference energy of an element lies far below its free atom: a gas would be stable."""
    if cut:
        monkeypatch.setattr("ase_crysdiff.potentials.neural.ATOMS", 4)
    gas = bulk("GaN", "rocksalt", 11.4)
    near = Atoms("O3", [[0, 0, 0], [0, 0, 1.3], [9, 9, 9]], cell=[30] * 3, pbc=True)
    systems = [triclinic(), gas, SYSTEMS["copper"], near]
    found = potential.evaluate(configurations(*systems))
    assert sorted(found.failures) == [1, 3]
    assert "Atom 0 has no neighbour within 4 Å" in found.failures[1]
    assert "Atom 2 has no neighbour" in found.failures[3]
    assert found.energy.isnan().tolist() == [False, True, False, True]
    assert found.forces.isnan().any(1).tolist() == [False] * 5 + [True] * 2 + [False] + [True] * 3
    alone = potential.evaluate(configurations(triclinic()))
    torch.testing.assert_close(found.energies[:5], alone.energies)
    assert sorted(potential.evaluate_energies(configurations(*systems)).failures) == [1, 3]


def test_separation_needs_a_network_that_sees_as_far():
    with pytest.raises(InputError, match="reach"):
        make(depths=torch.ones(100, dtype=DOUBLE))


@pytest.mark.parametrize(
    "others", [[[0.0, 0, 0]], [[0.0, 0, 0], [1.9, 0.3, 0]], [[0.0, 0, 0], [0, 3.95, 0]]]
)
def test_an_atom_crosses_the_cutoff_smoothly(others, separable):
    """Next to one atom, to a pair, and to an atom that itself just sees another: the force fades
    like the square of the way.
    """
    gaps = np.array([0.04, 0.02, 0.01, 0.005, -0.005, -0.3])
    systems = [Atoms([8] * len(others) + [26], [*others, [gap - CUTOFF, 0, 0]]) for gap in gaps]
    found = separable.evaluate(configurations(*systems))
    force = found.forces[:, 0].view(len(systems), -1)[:, -1].numpy()
    assert np.abs(force[0]) > 1e-6
    np.testing.assert_allclose(force[:3] / force[1:4], 4, rtol=0.1)
    assert np.abs(force[4:]).max() == 0
    energies = found.energy.numpy()
    assert energies[4] == energies[5]
    assert abs(energies[3] - energies[4]) < 1e-6


@pytest.mark.parametrize("pair", ["HH", "OO", "CuCu", "NaCl", "CsI"])
def test_overlapping_atoms_repel(pair, potential):
    atoms = [Atoms(pair, [[0, 0, 0], [d, 0, 0]]) for d in (0.02, 0.05, 0.1, 0.15)]
    found = potential.evaluate(configurations(*atoms))
    assert bool((found.forces.view(-1, 2, 3)[:, 1, 0] > 1).all())
    assert bool((found.energy.diff() < 0).all())


def test_distances_of_overlapping_atoms_look_alike_to_the_network(potential):
    """So their energy rises by the repulsion alone; bonds are seen as before."""
    blunt = make(closest=0.55)
    apart = [Atoms("O2", [[0, 0, 0], [0, 0, d]]) for d in (0.3, 0.4, 0.5)]
    systems = configurations(*apart)
    found = blunt.evaluate(systems)
    graph = graph_of(systems, blunt.network.neighborhood)
    learnt = blunt.network.energies(graph).view(3, 2).detach()
    torch.testing.assert_close(learnt[0], learnt[2], atol=1e-4, rtol=0)
    told = potential.network.energies(graph).view(3, 2).detach()
    assert float(told.diff(dim=0).abs().max()) > 0.01
    wall = repulsion(graph).energies.view(3, 2).sum(1)
    torch.testing.assert_close(found.energy.diff(), wall.diff(), atol=1e-3, rtol=0)
    bond = configurations(molecule("H2O"), SYSTEMS["copper"], SYSTEMS["rocksalt"])
    torch.testing.assert_close(
        blunt.evaluate(bond).energy, potential.evaluate(bond).energy, atol=1e-5, rtol=0
    )


def test_elements_of_a_column_differ(potential):
    energies = []
    for symbol in ("La", "Ce", "Sm", "Gd", "Ho", "Er"):
        atoms = bulk("NaCl", "rocksalt", 5.6)
        atoms.symbols[0] = symbol
        found = potential.evaluate(configurations(atoms))
        energies.append(float(found.energy) + float(atoms.numbers.sum()) / 10)
    gaps = np.abs(np.subtract.outer(energies, energies))[np.triu_indices(6, 1)]
    assert gaps.min() > 1e-4


def test_precision_of_single_and_double_agree():
    sets = configurations(*SYSTEMS.values())
    single, double = make(torch.float32).evaluate(sets), make(DOUBLE).evaluate(sets)
    assert single.forces.dtype == torch.float32
    torch.testing.assert_close(single.energy, double.energy, atol=2e-5, rtol=0)
    torch.testing.assert_close(single.forces.double(), double.forces, atol=2e-5, rtol=0)
    with pytest.raises(InputError, match=r"not torch\.float16"):
        make(torch.float16)


def test_repeated_calls_are_equal_to_the_last_bit_and_leave_no_trace(potential):
    sets = configurations(SYSTEMS["triclinic"])
    positions = sets.positions.clone()
    with torch.no_grad():
        first = potential.evaluate(sets)
        assert not torch.is_grad_enabled()
    second = potential.evaluate(sets)
    assert torch.equal(first.energy, second.energy)
    assert torch.equal(first.forces, second.forces)
    assert torch.equal(sets.positions, positions)
    assert not first.forces.requires_grad
    assert all(p.grad is None for p in potential.network.parameters())


def test_nothing_in_nothing_out(potential):
    empty = configurations(SYSTEMS["copper"]).select([])
    found = potential.evaluate(empty)
    assert (len(found.energies), len(found.energy), found.forces.shape, found.stress.shape) == (
        0,
        0,
        (0, 3),
        (0, 3, 3),
    )


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("H2", [[0, 0, 0], [0, 0, np.nan]]), "not finite"),
        (
            Atoms("H2", [[0, 0, 0], [0, 0, 0]]),
            "Atoms [01] and [01] of system 0 are in the same place",
        ),
        (Atoms("H", cell=[0, 3, 3], pbc=True), "zero or parallel"),
        (Atoms([99]), "does not know Es"),
        (Atoms("X"), "does not know"),
        (Atoms(), "no atoms"),
    ],
)
def test_bad_input_is_refused(atoms, message, potential):
    with pytest.raises(InputError, match=message):
        potential.evaluate(configurations(atoms))
