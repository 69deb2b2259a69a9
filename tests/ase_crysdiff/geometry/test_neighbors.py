"""The neighbour list against ASE's: the same pairs with the same shifts."""

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.neighborlist import neighbor_list as ase_neighbor_list

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry import neighbor_search, neighbors
from ase_crysdiff.geometry.neighbors import complete_cells, neighbor_list


def skewed():
    atoms = bulk("Fe") * (2, 1, 1)
    cell = atoms.cell.array.copy()
    cell[1] += 3 * cell[0]
    cell[2] -= 2 * cell[1] - 4 * cell[0]
    atoms.set_cell(cell)
    return atoms


def wire():
    atoms = Atoms(
        "CO",
        [[0, 0, 0], [0.5, 1.1, 0.2]],
        cell=[[2.2, 0.4, 0.1], [0, 0, 0], [0, 0, 0]],
        pbc=[True, False, False],
    )
    return Atoms("CO", atoms.positions + 7, cell=atoms.cell, pbc=atoms.pbc)


def left_handed():
    atoms = bulk("NaCl", "rocksalt", 5.64)
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell.array[[1, 0, 2]], pbc=True)


SYSTEMS = {
    "one atom, many images": bulk("Cu"),
    "rocksalt": bulk("NaCl", "rocksalt", 5.64),
    "slab": fcc111("Al", (2, 2, 3), vacuum=8.0),
    "slab without a third vector": fcc111("Al", (1, 1, 2)),
    "molecule": molecule("CH3CH2OH"),
    "lone atom": Atoms("Ar"),
    "supercell": bulk("Si") * (3, 2, 1),
    "skewed": skewed(),
    "wire": wire(),
    "left-handed": left_handed(),
}


def moved(atoms, seed):
    """Atoms off their places, and out of the cell along periodic axes."""
    rng = np.random.default_rng(seed)
    atoms = atoms.copy()
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    atoms.positions += (rng.integers(-3, 4, atoms.positions.shape) * atoms.pbc) @ atoms.cell.array
    return atoms


def search(systems, cutoff):
    positions = torch.cat([torch.from_numpy(a.positions) for a in systems])
    cells = torch.stack([torch.from_numpy(a.cell.array.copy()) for a in systems])
    periodic = torch.stack([torch.from_numpy(a.pbc.copy()) for a in systems])
    counts = torch.tensor([len(a) for a in systems])
    return neighbor_list(positions, cells, periodic, counts, cutoff), positions, cells, counts


def as_sets(found, start, count):
    mine = (found.receivers >= start) & (found.receivers < start + count)
    rows = torch.cat(
        [
            found.receivers[mine, None] - start,
            found.senders[mine, None] - start,
            found.cell_offsets[mine],
        ],
        1,
    ).tolist()
    assert len(rows) == len({tuple(row) for row in rows})
    return {tuple(row) for row in rows}


@pytest.mark.parametrize("cutoff", [2.0, 5.0, 9.5])
def test_equals_ase_in_one_batch(cutoff):
    systems = [moved(atoms, seed) for seed, atoms in enumerate(SYSTEMS.values())]
    found, *_ = search(systems, cutoff)
    start = 0
    for name, atoms in zip(SYSTEMS, systems, strict=True):
        i, j, shifts = ase_neighbor_list("ijS", atoms, cutoff)
        expected = {
            (a, b, *s) for a, b, s in zip(i.tolist(), j.tolist(), shifts.tolist(), strict=True)
        }
        assert as_sets(found, start, len(atoms)) == expected, name
        start += len(atoms)
    assert torch.equal(found.receivers, found.receivers.sort().values)


@pytest.mark.parametrize("seed", range(6))
def test_equals_ase_for_random_cells(seed):
    rng = np.random.default_rng(seed)
    systems = [
        Atoms(
            f"H{n}",
            rng.uniform(-5, 9, (n, 3)),
            cell=rng.normal(0, 3, (3, 3)) + 2.5 * np.eye(3),
            pbc=rng.random(3) < 0.7,
        )
        for n in rng.integers(1, 9, 6)
    ]
    found, *_ = search(systems, 4.3)
    start = 0
    for atoms in systems:
        i, j, shifts = ase_neighbor_list("ijS", atoms, 4.3)
        expected = {
            (a, b, *s) for a, b, s in zip(i.tolist(), j.tolist(), shifts.tolist(), strict=True)
        }
        assert as_sets(found, start, len(atoms)) == expected
        start += len(atoms)


def test_vectors_are_those_of_ase_and_differentiable():
    systems = [moved(SYSTEMS[n], 3) for n in ("rocksalt", "slab", "skewed")]
    found, positions, cells, counts = search(systems, 5.0)
    index = torch.arange(len(systems)).repeat_interleave(counts)
    vectors = found.vectors(positions, cells, index)
    lengths = np.sort(np.concatenate([ase_neighbor_list("d", a, 5.0) for a in systems]))
    np.testing.assert_allclose(
        np.sort(torch.linalg.vector_norm(vectors, dim=-1).numpy()), lengths, atol=1e-10
    )
    few = [slice(0, 2), slice(0, 1)]
    pairs, *_ = search(systems[:1], 3.0)
    inputs = positions[few[0]].clone().requires_grad_(), cells[few[1]].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, c: pairs.vectors(x, c, index[few[0]]), inputs)


def test_every_pair_is_there_in_both_directions():
    found, *_ = search([moved(SYSTEMS["supercell"], 1)], 5.0)
    rows = as_sets(found, 0, 12)
    assert {(j, i, -a, -b, -c) for i, j, a, b, c in rows} == rows


def numbers(systems):
    return (
        torch.cat([torch.from_numpy(a.positions) for a in systems]),
        complete_cells(
            torch.stack([torch.from_numpy(a.cell.array.copy()) for a in systems]),
            torch.stack([torch.from_numpy(a.pbc.copy()) for a in systems]),
        ),
        torch.stack([torch.from_numpy(a.pbc.copy()) for a in systems]),
        torch.tensor([len(a) for a in systems]),
    )


def test_chunks_do_not_change_the_answer(monkeypatch):
    systems = [moved(atoms, seed) for seed, atoms in enumerate(SYSTEMS.values())]
    given = (*numbers(systems), torch.full((len(systems),), 5.0, dtype=torch.float64))
    whole = neighbor_search.search_images(*given)
    monkeypatch.setattr("ase_crysdiff.geometry.neighbor_search.CHUNK", 100)
    parts = neighbor_search.search_images(*given)
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_both_searches_find_the_same_pairs_in_the_same_order(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    systems = [moved(atoms, seed) for atoms in SYSTEMS.values()]
    for axes in itertools.product([True, False], repeat=3):
        # Thin and skewed cells with many images, atoms anywhere.
        cell = rng.normal(0, 2, (3, 3)) + np.eye(3) + 2 * np.outer(rng.normal(size=3), [1, 0, 0])
        count = int(rng.integers(1, 7))
        systems.append(Atoms(f"H{count}", rng.uniform(-30, 30, (count, 3)), cell=cell, pbc=axes))
    by_cells, *_ = search(systems, 4.7)
    monkeypatch.setattr(neighbors, "search_cells", neighbor_search.search_images)
    by_images, *_ = search(systems, 4.7)
    assert len(by_cells.receivers) > 1000
    for name in ("receivers", "senders", "cell_offsets"):
        assert torch.equal(getattr(by_cells, name), getattr(by_images, name))


def test_pairs_are_sorted_by_atoms_and_cells_however_far_outside_atoms_lie():
    atoms = moved(SYSTEMS["supercell"], 1)
    far = atoms.copy()
    far.positions[0] += 9e8 * atoms.cell.array[0] + 8e8 * atoms.cell.array[1]
    for system in (atoms, far):
        found, *_ = search([system], 5.0)
        rows = torch.cat(
            [found.receivers[:, None], found.senders[:, None], found.cell_offsets], 1
        ).tolist()
        assert len(rows) > 100
        assert rows == sorted(rows)


def test_shells_at_the_cutoff_are_left_out_in_both_directions():
    found, *_ = search([Atoms("Po", cell=np.eye(3) * 2.5, pbc=True)], 2.5)
    assert len(found.receivers) == 0
    found, *_ = search([Atoms("Po", cell=np.eye(3) * 2.5, pbc=True)], 2.5 + 1e-9)
    assert len(found.receivers) == 6


def test_the_reference_looks_at_one_image_per_pair_in_large_cells(monkeypatch):
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True) * (2, 2, 2)
    _, cells, periodic, _ = numbers([atoms])
    cutoff = torch.tensor([5.0], dtype=torch.float64)
    reach = neighbor_search.reached_images(torch.linalg.inv(cells), periodic, cutoff)
    assert reach.tolist() == [[0, 0, 0]]
    found, *_ = search([atoms], 5.0)
    assert len(found.receivers) == len(ase_neighbor_list("i", atoms, 5.0))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ([[0.0, 0, 0], [0, 3, 0], [0, 0, 3]], "finite and independent"),
        ([[1.0, 2, 3], [2, 4, 6], [0, 0, 3]], "finite and independent"),
        ([[float("nan"), 0, 0], [0, 3, 0], [0, 0, 3]], "finite and independent"),
        ([[0.01, 0, 0], [0, 0.01, 0], [0, 0, 3.0]], "repeats every 0.01 Å"),
    ],
)
def test_impossible_cells_are_explained(cell, message):
    with pytest.raises(InputError, match=message):
        neighbor_list(
            torch.zeros(1, 3),
            torch.tensor([cell]),
            torch.ones(1, 3, dtype=torch.bool),
            torch.tensor([1]),
            5.0,
        )


@pytest.mark.parametrize("axes", [(), (0,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_completed_cells_keep_periodic_rows_and_stand_upright(axes):
    cell = torch.tensor([[[3.0, 0.2, 0.1], [1.0, 4.0, -0.5], [0.3, 0.9, 5.0]]], dtype=torch.float64)
    periodic = torch.tensor([[i in axes for i in range(3)]])
    full = complete_cells(cell, periodic)[0]
    assert torch.equal(full[periodic[0]], cell[0][periodic[0]])
    for i in range(3):
        if i not in axes:
            assert float(full[i].norm()) == pytest.approx(1)
            others = [j for j in range(3) if j != i]
            assert float((full[others] @ full[i]).abs().max()) < 1e-12
