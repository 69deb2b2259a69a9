"""Distances of all pairs of many cells at once against the same, cell by cell."""

import torch

from ase_crysdiff.geometry.distances import shortest_distance
from ase_crysdiff.geometry.pairs import all_pairs, pair_distances
from ase_crysdiff.testing.crystals import prototype_batch, random_batch


def test_pairs_are_all_and_once():
    pairs = all_pairs(torch.tensor([1, 3]))
    assert pairs.first.tolist() == [0, 1, 1, 1, 2, 2, 3]
    assert pairs.second.tolist() == [0, 1, 2, 3, 2, 3, 3]


def test_distances_are_those_of_each_cell(generator):
    for batch in (prototype_batch(), random_batch([1, 2, 5], generator)):
        pairs = all_pairs(batch.num_atoms)
        found = pair_distances(pairs, batch.frac_coords, batch.lattice, batch.num_atoms)
        tables = [shortest_distance(c.frac_coords, c.lattice[0]) for c in batch.split()]
        expected = torch.cat(
            [table[tuple(torch.triu_indices(len(table), len(table)))] for table in tables]
        )
        torch.testing.assert_close(found, expected)
