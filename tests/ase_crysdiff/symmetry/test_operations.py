"""The average over a group is the projection that it must be, for one crystal and for many."""

import numpy as np
import pytest
import torch
from symmetric_crystals import crystals, found_by_spglib

from ase_crysdiff.errors import InputError, ShapeError
from ase_crysdiff.symmetry.averaging import Averaging
from ase_crysdiff.symmetry.operations import Operations

CRYSTALS = crystals()
FOUND = {name: found_by_spglib(entry[0]) for name, entry in CRYSTALS.items()}
each = pytest.mark.parametrize("name", CRYSTALS)


def by_definition(operations, vectors):
    """(A v)_b = 1/|G| Σ_g R_g v_{g⁻¹(b)}, atom by atom."""
    averaged = np.zeros_like(vectors)
    for rotation, permutation in zip(operations.rotations, operations.permutations, strict=True):
        for a, b in enumerate(permutation):
            averaged[b] += rotation @ vectors[a] / len(operations)
    return averaged


def dense(operations):
    """The average as a matrix on all coordinates."""
    size = 3 * operations.num_atoms
    columns = [operations.average(e.reshape(-1, 3)).ravel() for e in np.eye(size)]
    return np.array(columns).T


@each
def test_the_average_is_a_projection_on_the_free_coordinates(name):
    _, _, coordinates, numbers = CRYSTALS[name]
    operations = FOUND[name]
    matrix = dense(operations)
    assert matrix @ matrix == pytest.approx(matrix, abs=1e-12)
    assert np.trace(matrix) == pytest.approx(coordinates)
    assert operations.free_coordinates == coordinates
    assert operations.free_lattice_numbers == numbers
    assert np.linalg.matrix_rank(matrix, tol=1e-8) == coordinates


@each
def test_the_average_is_what_its_formula_says_and_has_the_symmetry(name):
    operations = FOUND[name]
    vectors = np.random.default_rng(0).normal(size=(operations.num_atoms, 3))
    averaged = operations.average(vectors)
    assert averaged == pytest.approx(by_definition(operations, vectors), abs=1e-12)
    for rotation, permutation in zip(operations.rotations, operations.permutations, strict=True):
        assert averaged[permutation] == pytest.approx(averaged @ rotation.T, abs=1e-12)


@each
def test_the_average_is_orthogonal_in_the_cartesian_metric(name):
    structure = CRYSTALS[name][0]
    vectors = np.random.default_rng(1).normal(size=(len(structure), 3))
    averaged = FOUND[name].average_cartesian(vectors, structure.lattice.matrix)
    assert np.sum(averaged * (vectors - averaged)) == pytest.approx(0, abs=1e-10)


@each
def test_a_disturbed_crystal_gets_its_symmetry_back(name):
    structure, operations = CRYSTALS[name][0], FOUND[name]
    random = np.random.default_rng(2)
    rows = structure.lattice.matrix @ (np.eye(3) + 0.03 * random.normal(size=(3, 3)))
    frac = structure.frac_coords + 0.01 * random.normal(size=(len(structure), 3))
    assert operations.deviation(frac, rows) > 0.01
    restored = operations.symmetrise_positions(frac), operations.symmetrise_lattice(rows)
    assert operations.deviation(*restored) < 1e-12
    assert np.linalg.det(restored[1]) > 0


@each
def test_operations_are_a_group_and_stay_one_in_another_cell(name):
    structure, operations = CRYSTALS[name][0], FOUND[name]
    operations.check()
    change = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    moved = operations.in_basis(change)
    moved.check()
    frac = structure.frac_coords @ np.linalg.inv(change)
    assert moved.deviation(frac, change @ structure.lattice.matrix) < 1e-6


def test_pure_translations_of_a_cube_are_operations_and_join_orbits():
    operations = FOUND["rock salt, cube"]
    assert len(operations) == 192
    assert len(set(operations.orbits.tolist())) == 2


def test_scalars_are_averaged_over_orbits():
    operations = FOUND["rutile"]
    values = np.arange(6.0)
    assert operations.average_scalars(values) == pytest.approx([0.5, 0.5, 3.5, 3.5, 3.5, 3.5])


def test_what_is_no_group_is_refused():
    operations = FOUND["rutile"]
    part = Operations(
        operations.rotations[:3], operations.translations[:3], operations.permutations[:3]
    )
    with pytest.raises(InputError, match="no group"):
        part.check()
    with pytest.raises(InputError, match="determinant"):
        operations.in_basis(2 * np.eye(3))
    with pytest.raises(InputError, match="at least one rotation"):
        Operations(np.zeros((0, 3, 3), int), np.zeros((0, 3)), np.zeros((0, 2), int))


def test_an_atom_without_an_image_is_named():
    structure, operations = CRYSTALS["rutile"][0], FOUND["rutile"]
    frac = structure.frac_coords.copy()
    frac[2] += [0.01, 0.02, 0.0]
    with pytest.raises(InputError, match="any atom of its species"):
        Operations.of(
            operations.rotations,
            operations.translations,
            frac,
            structure.atomic_numbers,
            structure.lattice.matrix,
        )


def batch(names):
    structures = [CRYSTALS[name][0] for name in names]
    lattice = torch.tensor(np.array([s.lattice.matrix for s in structures]))
    return Averaging([FOUND[name] for name in names]), lattice


def test_a_batch_is_averaged_as_its_crystals_are():
    averaging, lattice = batch(CRYSTALS)
    random = np.random.default_rng(3)
    parts = [random.normal(size=(FOUND[name].num_atoms, 3)) for name in CRYSTALS]
    vectors = torch.tensor(np.concatenate(parts))
    wanted = [FOUND[name].average(part) for name, part in zip(CRYSTALS, parts, strict=True)]
    assert averaging.vectors(vectors).numpy() == pytest.approx(np.concatenate(wanted), abs=1e-12)
    wanted = [
        FOUND[name].average_cartesian(part, lattice[k].numpy())
        for k, (name, part) in enumerate(zip(CRYSTALS, parts, strict=True))
    ]
    found = averaging.cartesian(vectors, lattice).numpy()
    assert found == pytest.approx(np.concatenate(wanted), abs=1e-12)
    grams = lattice @ lattice.mT + 0.1
    wanted = [FOUND[name].average_gram(grams[k]) for k, name in enumerate(CRYSTALS)]
    assert averaging.gram(grams).numpy() == pytest.approx(np.array(wanted), abs=1e-12)


@each
def test_a_stress_becomes_invariant_under_the_rotations(name):
    averaging, lattice = batch([name])
    given = torch.tensor(np.random.default_rng(4).normal(size=(1, 3, 3)))
    stress = averaging.stress(given + given.mT, lattice)
    assert torch.trace(stress[0]) == pytest.approx(torch.trace(2 * given[0]))
    for rotation in FOUND[name].rotations:
        # Of columns: r' = Lᵀ R L⁻ᵀ r.
        turn = (
            lattice[0].T
            @ torch.tensor(rotation, dtype=lattice.dtype)
            @ torch.linalg.inv(lattice[0].T)
        )
        assert torch.allclose(turn @ stress[0] @ turn.T, stress[0], atol=1e-10)


def test_crystals_without_symmetry_are_left_to_the_bit():
    structure = CRYSTALS["rutile"][0]
    operations = [Operations.identity(6), FOUND["rutile"]]
    lattice = torch.tensor(np.array([structure.lattice.matrix] * 2)) * 1.1
    forces = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    averaging = Averaging(operations)
    assert torch.equal(averaging.cartesian(forces, lattice)[:6], forces[:6])
    assert not torch.equal(averaging.cartesian(forces, lattice)[6:], forces[6:])
    assert torch.equal(averaging.stress(lattice, lattice)[0], lattice[0])


def test_what_a_crystal_gets_does_not_depend_on_its_batch():
    random = torch.randn(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    alone, lattice = batch(["corundum"])
    mixed, lattices = batch(["pyrite", "corundum", "rutile"])
    forces = random[: mixed.num_atoms]
    part = slice(12, 12 + alone.num_atoms)
    assert torch.equal(
        mixed.cartesian(forces, lattices)[part], alone.cartesian(forces[part], lattice)
    )


def test_a_batch_of_another_size_is_refused():
    averaging, _ = batch(["rutile"])
    with pytest.raises(ShapeError, match="6 atoms"):
        averaging.vectors(torch.zeros(7, 3, dtype=torch.float64))


def test_no_crystals_are_averaged():
    nothing = torch.zeros(0, 3, dtype=torch.float64)
    assert Averaging([]).vectors(nothing).shape == (0, 3)
