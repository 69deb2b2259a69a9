"""Crystals with their edges as a training set: edges are found once, batches are gathered from
tensors on the device.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ase_crysdiff.constants import GATE_VOLUME
from ase_crysdiff.crystal.batch import CrystalBatch, rows_of
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.neighbors import Neighbors
from ase_crysdiff.networks.graph import CrystalGraph, Neighborhood, find_edges
from ase_crysdiff.networks.species_embeddings import NUM_ELEMENTS
from ase_crysdiff.randomness import epoch_generator
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: Crystals whose edges are found in one go.
_PIECE = 512


@dataclass(frozen=True)
class GraphBatch:
    """What a step of training reads.

    Args:
        graph: Crystals in order of size, with their edges.
        targets: What is known of each, in the same order, shape (crystals,) or (crystals, values);
            None if there is nothing.
        rows: Position of each in the data set, shape (crystals,).
    """

    graph: CrystalGraph
    targets: Float[Tensor, "crystals ..."] | None
    rows: Int[Tensor, " crystals"]

    def __len__(self) -> int:
        return len(self.rows)


class GraphCrystals:
    """Batches of crystals of about equally many atoms, with edges. `left_out` counts crystals that
    have no usable cell or hold an element that backbones do not know.

    Args:
        data: All crystals.
        neighborhood: Which edges and distances.
        batch_size: Crystals of a batch, about.
        device: Where the tensors live.
        targets: Numbers per crystal, shape (crystals,) or (crystals, values).
        max_atoms_per_batch: Batches of large crystals hold fewer of them, so that they have about
            as many atoms at most.

    Raises:
        InputError: If targets are not one row per crystal, or no crystal is usable.
    """

    def __init__(
        self,
        data: PackedCrystals | CrystalBatch,
        neighborhood: Neighborhood,
        batch_size: int,
        device: torch.device,
        targets: Float[Tensor, "crystals ..."] | None = None,
        max_atoms_per_batch: int = 4096,
    ) -> None:
        crystals = data.batch if isinstance(data, PackedCrystals) else data
        if targets is not None and len(targets) != len(crystals):
            raise InputError(
                f"{len(targets)} targets came for {len(crystals)} crystals; give one row per "
                "crystal."
            )
        self.batch_size, self.max_atoms, self.device = batch_size, max_atoms_per_batch, device
        members = torch.nonzero(_usable(crystals)).flatten()
        if not len(members):
            raise InputError(
                f"None of {len(crystals)} crystals can be used: cells must have a volume, elements "
                "be Z = 1 to 100."
            )
        self.left_out = len(crystals) - len(members)
        crystals = crystals.select(members)
        self.sizes = crystals.num_atoms.cpu()
        self.members = members.to(device)
        self.targets = None if targets is None else targets[members].to(device)
        self.crystals = crystals.to(device)
        self._find_edges(neighborhood)

    def __len__(self) -> int:
        return len(self.sizes)

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[GraphBatch]:
        """The batches of one epoch, a pure function of the arguments; each process takes every
        world_size-th of them.
        """
        generator = epoch_generator(seed, epoch)
        plan = self._plan(torch.randperm(len(self), generator=generator))
        whole = len(plan) - len(plan) % world_size
        for rows in plan[rank:whole:world_size]:
            yield self._batch(rows)

    def everything(self) -> Iterator[GraphBatch]:
        """Every crystal once, in order, for validation."""
        for rows in self._plan(torch.arange(len(self))):
            yield self._batch(rows)

    def _plan(self, order: Tensor) -> list[Tensor]:
        """The order cut into as few batches as the limits allow, of about equally many atoms."""
        sizes = self.sizes[order]
        total = int(sizes.sum())
        batches = max(-(-len(order) // self.batch_size), -(-total // self.max_atoms))
        batch = (
            (2 * sizes.cumsum(0) - sizes) * batches // (2 * total)
        )  # where the middle of a crystal lies
        return [rows for rows in order.split(torch.bincount(batch).tolist()) if len(rows)]

    def _batch(self, rows: Tensor) -> GraphBatch:
        rows = rows[torch.argsort(self.sizes[rows], stable=True)].to(self.device)
        crystals, atoms = rows_of(self.crystals.num_atoms, rows)
        _, edges = rows_of(self.num_edges, rows)
        batch = CrystalBatch(
            self.crystals.lattice[crystals],
            self.crystals.frac_coords[atoms],
            self.crystals.species[atoms],
            self.crystals.num_atoms[crystals],
        )
        starts = (batch.num_atoms.cumsum(0) - batch.num_atoms).repeat_interleave(
            self.num_edges[crystals]
        )
        pairs = Neighbors(
            self.first[edges].long() + starts,
            self.second[edges].long() + starts,
            self.shifts[edges].long(),
        )
        graph = CrystalGraph.of(batch, pairs, self.profile[atoms])
        targets = None if self.targets is None else self.targets[crystals]
        return GraphBatch(graph, targets, self.members[crystals])

    def _find_edges(self, neighborhood: Neighborhood) -> None:
        """Edges of all crystals, in few bytes: atoms are counted within their crystal."""
        found: list[tuple[Tensor, ...]] = []
        for rows in torch.arange(len(self)).split(_PIECE):
            piece = self.crystals.select(rows.to(self.device))
            found_edges = find_edges(piece, neighborhood)
            edges, profile = found_edges.neighbors, found_edges.profile
            counts = piece.num_atoms
            owner = torch.arange(len(piece), device=self.device).repeat_interleave(counts)[
                edges.receivers
            ]
            starts = (counts.cumsum(0) - counts)[owner]
            found.append(
                (
                    (edges.receivers - starts).short(),
                    (edges.senders - starts).short(),
                    edges.cell_offsets.short(),
                    profile,
                    torch.bincount(owner, minlength=len(piece)),
                )
            )
        self.first, self.second, self.shifts, self.profile, self.num_edges = (
            torch.cat(parts) for parts in zip(*found, strict=True)
        )


def _usable(crystals: CrystalBatch) -> Bool[Tensor, " crystals"]:
    index = torch.arange(len(crystals), device=crystals.lattice.device).repeat_interleave(
        crystals.num_atoms
    )
    bad = (
        ~torch.isfinite(crystals.frac_coords).all(-1)
        | (crystals.species < 1)
        | (crystals.species >= NUM_ELEMENTS)
    )
    faults = torch.zeros(len(crystals), dtype=torch.long, device=index.device).index_add(
        0, index, bad.long()
    )
    is_cell = torch.linalg.det(crystals.lattice).abs() > GATE_VOLUME
    return (faults == 0) & is_cell & (crystals.num_atoms > 0)
