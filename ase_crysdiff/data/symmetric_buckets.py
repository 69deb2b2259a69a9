"""Batches of symmetric crystals with equally many atoms, with the maps from their free numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.data.epochs import expected_once
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.shapes import Float, Int, Tensor
from ase_crysdiff.symmetry.layouts import KindMaps, kind_maps
from ase_crysdiff.symmetry.tables import space_group


@dataclass(frozen=True)
class SymmetricBatch:
    """Crystals of N atoms and at most S sites in their primitive standard cells.

    Args:
        group: Number of each space group.
        lattice: Rows, Å.
        free_numbers: Free coordinates, padded to three for each of S sites.
        species: Atomic number of each atom.
        kinds: The maps of their kinds of scaffolds.
    """

    group: Int[Tensor, " crystals"]
    lattice: Float[Tensor, "crystals 3 3"]
    free_numbers: Float[Tensor, "crystals sites 3"]
    species: Int[Tensor, "crystals size"]
    kinds: "Kinds"

    def __len__(self) -> int:
        return len(self.group)

    @property
    def layout(self) -> Layout:
        """Where the atoms are."""
        count, size = self.species.shape
        return Layout((size,) * count, self.lattice.device, self.lattice.dtype)


@dataclass(frozen=True)
class Kinds:
    """The maps of several kinds of scaffolds, stacked; see `symmetry.layouts.KindMaps`.

    Args:
        spread: Shape (kinds, 3 N, 3 S).
        offsets: Shape (kinds, N, 3).
        gather: Shape (kinds, 3 S, 3 N).
        free: Shape (kinds, S, 3).
        positions: Rows of the sites' positions in `anchor_images`, shape (kinds, S).
        site: Site of each atom, shape (kinds, N).
    """

    spread: Tensor
    offsets: Tensor
    gather: Tensor
    free: Tensor
    positions: Tensor
    site: Tensor

    @staticmethod
    def stack(kinds: list[KindMaps], sites: int) -> "Kinds":
        """Kinds of equally many atoms, padded to some number of sites."""
        size = len(kinds[0].offsets)
        spread = np.zeros((len(kinds), size, 3, sites, 3), np.int8)
        gather = np.zeros((len(kinds), sites, 3, size, 3), np.float16)
        offsets = np.zeros((len(kinds), size, 3), np.float32)
        free = np.zeros((len(kinds), sites, 3), bool)
        positions = np.zeros((len(kinds), sites), np.int64)
        for row, kind in enumerate(kinds):
            own = len(kind.positions)
            spread[row, :, :, :own], gather[row, :own] = kind.spread, kind.gather
            offsets[row], free[row, :own] = kind.offsets, kind.free
            positions[row, :own] = kind.positions
        site = np.stack([kind.site for kind in kinds])
        return Kinds(
            torch.from_numpy(spread).reshape(len(kinds), 3 * size, 3 * sites),
            torch.from_numpy(offsets),
            torch.from_numpy(gather).reshape(len(kinds), 3 * sites, 3 * size),
            torch.from_numpy(free),
            torch.from_numpy(positions),
            torch.from_numpy(site),
        )

    def to(self, device: torch.device) -> "Kinds":
        """The maps on a device."""
        return Kinds(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def of(self, rows: Tensor) -> "Kinds":
        """The maps of each crystal of a batch, in single precision."""
        return Kinds(
            self.spread[rows].float(),
            self.offsets[rows],
            self.gather[rows].float(),
            self.free[rows],
            self.positions[rows],
            self.site[rows],
        )

    @cached_property
    def multiplicity(self) -> Int[Tensor, "crystals sites"]:
        """Atoms of each site; 0 where one is padding."""
        count = torch.zeros(self.free.shape[:2], dtype=torch.long, device=self.site.device)
        return count.scatter_add(1, self.site, torch.ones_like(self.site))

    def first(self, rows: Tensor) -> Tensor:
        """The value of the first atom of each site, (crystals, S), of values (crystals, N); that of
        any atom where a site is padding.
        """
        start = (self.multiplicity.cumsum(1) - self.multiplicity).clamp_max(rows.shape[1] - 1)
        return rows.gather(1, start)

    def mean(self, rows: Float[Tensor, "crystals size width"]) -> Tensor:
        """The mean over the atoms of each site, (crystals, S, width); 0 where one is padding."""
        sites = rows.new_zeros(*self.multiplicity.shape, rows.shape[-1])
        total = sites.scatter_add(1, self.site.unsqueeze(-1).expand_as(rows), rows)
        return total / self.multiplicity.clamp_min(1).unsqueeze(-1)

    def atoms(self, free_numbers: Float[Tensor, "crystals sites 3"]) -> Tensor:
        """Fractional coordinates (crystals * N, 3) of all atoms, not wrapped."""
        return (self.moves(free_numbers) + self.offsets).flatten(0, 1)

    def moves(self, changes: Float[Tensor, "crystals sites 3"]) -> Tensor:
        """How atoms move when the free numbers change, (crystals, N, 3)."""
        moved = torch.einsum("cij,cj->ci", self.spread, changes.flatten(1))
        return moved.unflatten(1, (-1, 3))

    def changes(self, vectors: Float[Tensor, "atoms 3"]) -> Float[Tensor, "crystals sites 3"]:
        """The change of the free numbers that vectors of atoms imply, averaged over the group."""
        rows = vectors.reshape(len(self.gather), -1)
        return torch.einsum("cij,cj->ci", self.gather, rows).unflatten(1, (-1, 3))


@dataclass(frozen=True)
class _Bucket:
    """Crystals of one size; `members` are their positions in the set."""

    members: Tensor
    group: Tensor
    lattice: Tensor
    free_numbers: Tensor
    species: Tensor
    kind: Tensor
    kinds: Kinds

    def batch(self, rows: Tensor) -> SymmetricBatch:
        return SymmetricBatch(
            self.group[rows],
            self.lattice[rows],
            self.free_numbers[rows],
            self.species[rows],
            self.kinds.of(self.kind[rows]),
        )


class SymmetricCrystals:
    """A set of symmetric crystals by number of atoms. A step draws from one bucket.

    Args:
        data: Crystals.
        max_atoms: Larger ones are left out.
        batch_size: Crystals per batch.
        max_pairs: Batches of large crystals are made smaller, so that they have at most this many
            pairs of atoms.
        device: Where the tensors live.
    """

    def __init__(
        self,
        data: PackedScaffolds,
        max_atoms: int,
        batch_size: int,
        max_pairs: int,
        device: torch.device,
    ) -> None:
        sizes, kinds = data.num_atoms.numpy(), _kinds_of(data)
        self.left_out = int((sizes > max_atoms).sum())
        self.buckets: list[_Bucket] = []
        self.batch_sizes: list[int] = []
        for size in sorted(set(sizes[sizes <= max_atoms].tolist())):
            members = np.flatnonzero(sizes == size)
            self.buckets.append(_bucket(data, members, kinds, device))
            self.batch_sizes.append(max(1, min(batch_size, max_pairs // size**2)))

    def __len__(self) -> int:
        return sum(len(bucket.group) for bucket in self.buckets)

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[SymmetricBatch]:
        """The batches of one epoch, a function of seed, epoch, rank and processes only; every
        crystal is expected once.
        """
        for bucket, rows in self.plan(seed, epoch, rank, world_size):
            yield bucket.batch(rows)

    def everything(self) -> Iterator[SymmetricBatch]:
        """Every crystal once, in order, for validation."""
        for bucket, rows in self.in_order():
            yield bucket.batch(rows)

    def plan(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[_Bucket, Tensor]]:
        """Bucket and rows of every batch of one epoch."""
        counts = [len(bucket.group) for bucket in self.buckets]
        for number, rows in expected_once(counts, self.batch_sizes, seed, epoch, world_size):
            bucket = self.buckets[number]
            yield bucket, rows.chunk(world_size)[rank].to(bucket.group.device)

    def in_order(self) -> Iterator[tuple[_Bucket, Tensor]]:
        """Bucket and rows of batches that hold every crystal once."""
        for bucket, size in zip(self.buckets, self.batch_sizes, strict=True):
            for rows in torch.arange(len(bucket.group), device=bucket.group.device).split(size):
                yield bucket, rows


def _kinds_of(data: PackedScaffolds) -> list[tuple[int, tuple[int, ...]]]:
    """The kind of each crystal."""
    parts = np.split(data.letter.numpy(), np.cumsum(data.num_sites.numpy())[:-1])
    return [
        (group, tuple(part.tolist()))
        for group, part in zip(data.group.tolist(), parts, strict=True)
    ]


def _bucket(
    data: PackedScaffolds,
    members: np.ndarray,
    kinds: list[tuple[int, tuple[int, ...]]],
    device: torch.device,
) -> _Bucket:
    """The crystals at these rows, all of one size."""
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    kind = [known.setdefault(kinds[i], len(known)) for i in members]
    maps = [kind_maps(k) for k in known]
    stacked = Kinds.stack(maps, max(len(m.positions) for m in maps))
    sites, free = data.num_sites.numpy(), data.num_free.numpy()
    site_ends, free_ends = np.cumsum(sites), np.cumsum(free)
    numbers = np.zeros((len(members), *stacked.free.shape[1:]), np.float32)
    numbers[stacked.free.numpy()[kind]] = np.concatenate(
        [data.free_numbers.numpy()[free_ends[i] - free[i] : free_ends[i]] for i in members]
    )
    species = [
        np.repeat(
            data.species.numpy()[site_ends[i] - sites[i] : site_ends[i]],
            _multiplicities(*kinds[i]),
        )
        for i in members
    ]
    return _Bucket(
        torch.from_numpy(members).to(device),
        data.group[members].to(device),
        data.lattice[members].to(device),
        torch.from_numpy(numbers).to(device),
        torch.from_numpy(np.array(species)).long().to(device),
        torch.tensor(kind).to(device),
        stacked.to(device),
    )


def _multiplicities(group: int, letters: tuple[int, ...]) -> list[int]:
    """Points of the orbit of each site in a primitive cell."""
    positions = space_group(group).positions
    return [positions[x].multiplicity for x in letters]
