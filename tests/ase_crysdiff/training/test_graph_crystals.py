"""Batches with edges: the same graphs as built on the spot, every crystal once, the same order for
the same seed.
"""

import pytest
import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.graph import Neighborhood, build_graph
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.training.graph_crystals import GraphCrystals
from ase_crysdiff.training.task import Batches

CPU = torch.device("cpu")
NEAR = Neighborhood(6, profile=8, self_edges=True)


def crystals(count=23):
    return from_structures(rattled(count))


def test_satisfies_the_protocol():
    data = GraphCrystals(crystals(), NEAR, 5, CPU)
    assert isinstance(data, Batches)
    assert len(data) == 23
    assert data.left_out == 0


def test_batches_hold_the_graphs_of_their_crystals():
    source = crystals()
    data = GraphCrystals(PackedCrystals(source), NEAR, 5, CPU, targets=torch.arange(23.0))
    for batch in data.epoch(0, 0):
        expected = build_graph(source.select(batch.rows), NEAR)
        for name in ("receivers", "senders", "cell_offsets", "profile", "vectors"):
            torch.testing.assert_close(
                getattr(batch.graph, name), getattr(expected, name), rtol=0, atol=1e-5
            )
        assert torch.equal(batch.graph.crystals.species, expected.crystals.species)
        assert torch.equal(batch.targets, batch.rows.float())


def test_every_crystal_once():
    data = GraphCrystals(crystals(), NEAR, 5, CPU)
    for batches in (data.epoch(3, 1), data.everything()):
        assert sorted(torch.cat([batch.rows for batch in batches]).tolist()) == list(range(23))


def test_order_is_a_function_of_seed_and_epoch():
    data = GraphCrystals(crystals(), NEAR, 5, CPU)

    def rows(seed, epoch):
        return [batch.rows.tolist() for batch in data.epoch(seed, epoch)]

    assert (
        rows(1, 2)
        == rows(1, 2)
        == [b.rows.tolist() for b in GraphCrystals(crystals(), NEAR, 5, CPU).epoch(1, 2)]
    )
    assert rows(1, 2) != rows(1, 3)
    assert rows(1, 2) != rows(2, 2)


def test_processes_share_an_epoch():
    data = GraphCrystals(crystals(), NEAR, 5, CPU)
    parts = [[batch.rows.tolist() for batch in data.epoch(0, 0, rank, 2)] for rank in (0, 1)]
    assert len(parts[0]) == len(parts[1]) == 2
    seen = [row for part in parts for rows in part for row in rows]
    assert len(seen) == len(set(seen))


def test_batches_are_about_equal():
    data = GraphCrystals(crystals(60), NEAR, 8, CPU)
    atoms = [len(batch.graph.crystals.species) for batch in data.epoch(0, 0)]
    assert len(atoms) == 8
    assert max(atoms) - min(atoms) <= 2 * 6  # no farther apart than a crystal at each end


def test_atoms_of_a_batch_are_limited():
    data = GraphCrystals(crystals(60), NEAR, 60, CPU, max_atoms_per_batch=40)
    assert max(len(batch.graph.crystals.species) for batch in data.epoch(0, 0)) <= 40 + 6


def test_unusable_crystals_are_left_out_and_the_rest_keep_their_rows():
    source = crystals(8)
    lattice, species, frac = (
        source.lattice.clone(),
        source.species.clone(),
        source.frac_coords.clone(),
    )
    starts = source.num_atoms.cumsum(0) - source.num_atoms
    lattice[1] = 0.0
    species[starts[3]] = 105
    frac[starts[6]] = torch.nan
    data = GraphCrystals(CrystalBatch(lattice, frac, species, source.num_atoms), NEAR, 4, CPU)
    assert data.left_out == 3
    assert sorted(row for batch in data.everything() for row in batch.rows.tolist()) == [
        0,
        2,
        4,
        5,
        7,
    ]


def test_targets_must_fit():
    with pytest.raises(InputError, match="5 targets came for 8 crystals"):
        GraphCrystals(crystals(8), NEAR, 4, CPU, targets=torch.zeros(5))
    with pytest.raises(InputError, match="None of 0"):
        GraphCrystals(crystals(8).select([]), NEAR, 4, CPU)
