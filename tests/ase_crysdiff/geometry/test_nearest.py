"""Nearest neighbours against shells of known crystals and a search by brute force."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, graphene
from ase.neighborlist import neighbor_list as ase_neighbor_list

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.nearest import TIE, nearest_neighbors

ROCKSALT = [2.82] * 6 + [3.9881] * 12 + [4.8844] * 8 + [5.64] * 6


def search(systems, count, columns=0):
    systems = [systems] if isinstance(systems, Atoms) else systems
    return nearest_neighbors(
        torch.cat([torch.from_numpy(a.positions) for a in systems]),
        torch.stack([torch.from_numpy(a.cell.array.copy()) for a in systems]),
        torch.tensor([len(a) for a in systems]),
        count,
        columns,
    )


def rows(neighbors):
    return torch.cat(
        [neighbors.receivers[:, None], neighbors.senders[:, None], neighbors.cell_offsets], 1
    ).tolist()


def brute(atoms, count):
    """Pairs of which one is among the `count` nearest of the other, from ASE's list of everything
    within 40 Å.
    """
    i, j, shifts, distances = ase_neighbor_list(
        "ijSd", atoms, max(2.5 * atoms.cell.lengths().max(), 12.0)
    )
    last = np.array([np.sort(distances[i == atom])[count - 1] for atom in range(len(atoms))]) + TIE
    kept = (distances <= last[i]) | (distances <= last[j])
    return {
        (a, b, *s)
        for a, b, s in zip(i[kept].tolist(), j[kept].tolist(), shifts[kept].tolist(), strict=True)
    }


@pytest.mark.parametrize(("count", "kept"), [(6, 6), (12, 18), (25, 26), (26, 26), (27, 32)])
@pytest.mark.parametrize("cubic", [False, True])
def test_rocksalt_keeps_whole_shells(count, kept, cubic):
    found = search(bulk("NaCl", "rocksalt", 5.64, cubic=cubic), count)
    assert set(torch.bincount(found.neighbors.receivers).tolist()) == {kept}


def test_rocksalt_profile():
    found = search(bulk("NaCl", "rocksalt", 5.64), 12, 32)
    assert found.profile.shape == (2, 32)
    np.testing.assert_allclose(found.profile, [ROCKSALT, ROCKSALT], atol=5e-5)


def generic():
    rng = np.random.default_rng(3)
    skewed = bulk("Fe") * (2, 1, 1)
    cell = skewed.cell.array.copy()
    cell[1] += 2 * cell[0]
    skewed.set_cell(cell)
    layered = graphene(vacuum=9.0)
    layered.pbc = True
    systems = [
        bulk("Cu"),
        bulk("NaCl", "rocksalt", 5.64),
        skewed,
        layered,
        Atoms("Ar", cell=[20, 20, 20], pbc=True),
    ]
    for atoms in systems[1:4]:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape) + 2 * atoms.cell.array[0]
    return systems


@pytest.mark.parametrize("count", [1, 8, 20])
def test_equals_brute_force_in_one_batch(count):
    systems = generic()
    found = rows(search(systems, count).neighbors)
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    start = 0
    for atoms in systems:
        mine = [(a - start, b - start, *s) for a, b, *s in found if start <= a < start + len(atoms)]
        assert len(mine) == len(set(mine))
        assert set(mine) == brute(atoms, count), atoms
        start += len(atoms)


def test_every_pair_has_its_reverse():
    found = {tuple(row) for row in rows(search(generic(), 7).neighbors)}
    assert found == {(b, a, *(-x for x in shift)) for a, b, *shift in found}


def test_lone_atom_in_a_wide_cell_has_neighbors():
    found = search(Atoms("Ar", cell=[20, 20, 20], pbc=True), 25)
    assert len(found.neighbors.receivers) == 26  # 6 + 12 + 8 images


def test_a_crystal_alone_and_in_a_batch():
    systems = generic()
    together = search(systems, 12, 30)
    alone = [search(atoms, 12, 30) for atoms in systems]
    torch.testing.assert_close(torch.cat([a.profile for a in alone]), together.profile)
    assert sum(len(a.neighbors.receivers) for a in alone) == len(together.neighbors.receivers)


@pytest.mark.parametrize("structure", ["fcc", "bcc", "diamond"])
def test_rounding_errors_do_not_choose_neighbors(structure):
    atoms = bulk("Si", structure, 4.3) * (2, 2, 2)
    before = {tuple(row) for row in rows(search(atoms, 10).neighbors)}
    atoms.rattle(1e-8, seed=0)
    assert {tuple(row) for row in rows(search(atoms, 10).neighbors)} == before


def test_profile_needs_no_edges():
    found = search(bulk("Cu"), 0, 12)
    assert len(found.neighbors.receivers) == 0
    np.testing.assert_allclose(found.profile, 3.61 / np.sqrt(2), rtol=1e-12)
    nothing = search(bulk("Cu"), 0)
    assert nothing.profile.shape == (1, 0)


def test_atom_without_a_place_is_refused():
    atoms = bulk("Cu") * (1, 1, 2)
    atoms.positions[1, 2] = np.nan
    with pytest.raises(InputError, match="Atom 1"):
        search(atoms, 3)


def test_flat_cell_is_refused():
    with pytest.raises(InputError, match="must be finite and independent"):
        search(Atoms("Cu", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 3]], pbc=True), 3)
