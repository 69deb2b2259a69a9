"""Batches of equally large crystals, gathered from tensors that live on the device."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.state_space import StateSpace
from ase_crysdiff.data.epochs import expected_once
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.shapes import Tensor


@dataclass(frozen=True)
class Bucket:
    """Crystals of one size, as dense tensors."""

    lattice: Tensor
    frac_coords: Tensor  # (crystals, size, 3)
    species: Tensor  # (crystals, size)
    members: Tensor  # (crystals,): positions among the crystals that are kept

    def batch(self, rows: Tensor) -> CrystalBatch:
        """The crystals at these rows."""
        size = self.species.shape[1]
        return CrystalBatch(
            self.lattice[rows],
            self.frac_coords[rows].flatten(0, 1),
            self.species[rows].flatten(),
            torch.full((len(rows),), size, device=rows.device),
        )


class BucketedCrystals:
    """The training set by number of rows. A step draws from one bucket, so that shapes repeat.

    Args:
        data: Crystals; those that the state space cannot hold are left out.
        space: Extends them, once.
        batch_size: Crystals per batch.
        max_pairs: Batches of large crystals are made smaller, so that they have at most this many
            pairs of rows.
        device: Where the tensors live.
    """

    def __init__(
        self,
        data: PackedCrystals,
        space: StateSpace,
        batch_size: int,
        max_pairs: int,
        device: torch.device,
    ) -> None:
        fits = data.batch.num_atoms <= space.max_atoms
        data = data.select(fits)
        self.left_out = int((~fits).sum())
        extended = space.extend(data.batch)
        self.buckets: list[Bucket] = []
        self.batch_sizes: list[int] = []
        for size in sorted(set(extended.num_atoms.tolist())):
            members = torch.nonzero(extended.num_atoms == size).flatten()
            group = extended.select(members)
            self.buckets.append(
                Bucket(
                    group.lattice.to(device),
                    group.frac_coords.view(-1, size, 3).to(device),
                    group.species.view(-1, size).to(device),
                    members.to(device),
                )
            )
            self.batch_sizes.append(max(1, min(batch_size, max_pairs // size**2)))

    def __len__(self) -> int:
        return sum(len(bucket.lattice) for bucket in self.buckets)

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[CrystalBatch]:
        """The batches of one epoch, a function of seed, epoch, rank and processes only."""
        for bucket, rows in self.plan(seed, epoch, rank, world_size):
            yield bucket.batch(rows)

    def everything(self) -> Iterator[CrystalBatch]:
        """Every crystal once, in order, for validation."""
        for bucket, rows in self.in_order():
            yield bucket.batch(rows)

    def plan(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Bucket, Tensor]]:
        """Bucket and rows of every batch of one epoch.

        Every crystal is expected once: a bucket gives a whole number of full batches, its fraction
        of one more by chance. With several processes each takes its share of every batch.
        """
        counts = [len(bucket.lattice) for bucket in self.buckets]
        for number, rows in expected_once(counts, self.batch_sizes, seed, epoch, world_size):
            bucket = self.buckets[number]
            yield bucket, rows.chunk(world_size)[rank].to(bucket.lattice.device)

    def in_order(self) -> Iterator[tuple[Bucket, Tensor]]:
        """Bucket and rows of batches that hold every crystal once."""
        for bucket, size in zip(self.buckets, self.batch_sizes, strict=True):
            for rows in torch.arange(len(bucket.lattice), device=bucket.lattice.device).split(size):
                yield bucket, rows
