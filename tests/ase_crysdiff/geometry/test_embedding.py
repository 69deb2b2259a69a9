"""Positions from distances: closed forms, known crystals, cells that are none."""

import pytest
import torch

from ase_crysdiff.geometry.embedding import positions_from_distances
from ase_crysdiff.geometry.pairs import all_pairs, pair_distances
from ase_crysdiff.testing.crystals import prototype_batch

CUBE = 20 * torch.eye(3)


def distances(frac, lattice):
    num_atoms = torch.tensor([len(frac)])
    return pair_distances(all_pairs(num_atoms), frac, lattice[None], num_atoms)


def others(count):
    pairs = all_pairs(torch.tensor([count]))
    return pairs.first != pairs.second


def test_two_atoms_come_as_far_apart_as_is_wanted(generator):
    found = positions_from_distances(
        torch.tensor([0.0, 2.5, 0.0]), CUBE, torch.rand(1, 2, 3, generator=generator)
    )
    assert float(distances(found, CUBE)[1]) == pytest.approx(2.5, abs=1e-4)


def test_triangle_that_cannot_be_closed_is_met_in_the_middle(generator):
    """Sides 1, 1 and 4: the best points lie in a row with sides 1 + a, 1 + a and 2 + 2a; 2a² + (2 -
    2a)² is least at a = 2/3.
    """
    wanted = torch.tensor([0.0, 1.0, 4.0, 0.0, 1.0, 0.0])
    found = positions_from_distances(wanted, CUBE, torch.rand(4, 3, 3, generator=generator))
    torch.testing.assert_close(
        distances(found, CUBE)[others(3)], torch.tensor([5 / 3, 10 / 3, 5 / 3]), atol=1e-3, rtol=0
    )


def test_small_crystals_are_found_from_their_distances(generator):
    for crystal in prototype_batch().split():
        count, lattice = len(crystal.species), crystal.lattice[0]
        if count > 5:
            continue
        wanted = distances(crystal.frac_coords, lattice)
        found = positions_from_distances(
            wanted, lattice, torch.rand(16, count, 3, generator=generator)
        )
        assert bool(((found >= 0) & (found < 1)).all())
        torch.testing.assert_close(
            distances(found, lattice)[others(count)], wanted[others(count)], atol=0.2, rtol=0
        )


def test_best_start_wins(generator):
    crystal = max(prototype_batch().split(), key=lambda c: len(c.species))
    lattice, starts = (
        crystal.lattice[0],
        torch.rand(5, len(crystal.species), 3, generator=generator),
    )
    starts[3] = crystal.frac_coords
    found = positions_from_distances(distances(crystal.frac_coords, lattice), lattice, starts)
    difference = found - crystal.frac_coords
    assert float((difference - difference.round()).abs().max()) < 1e-3


def test_flat_cell_raises_nothing(generator):
    lattice = torch.tensor([[3.0, 0, 0], [0, 3.0, 0], [3.0, 3.0, 0]])
    found = positions_from_distances(
        torch.tensor([3.0, 2.0, 3.0]), lattice, torch.rand(2, 2, 3, generator=generator)
    )
    assert found.shape == (2, 3)
