"""Atoms and their neighbours as dense tables: sums over neighbours that fit a processor's cache.

Atoms are sorted by how many neighbours they have and cut into pieces of similar ones. Each piece is
a dense (atoms, neighbours) table, padded with slots that end at the cutoff and therefore weigh
nothing. Sums over neighbours are then sums over an axis.
"""

from dataclasses import dataclass
from typing import Any

import torch

from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.shapes import Float, Int, Tensor

#: Slots of one piece: measured best on a CPU between 1,000 and 16,000.
_SLOTS = 3000


@dataclass(frozen=True)
class Piece:
    """Atoms of similar numbers of neighbours.

    Args:
        atoms: Which rows of the tables.
        slots: Which slots of the tables.
        width: Neighbours per atom, padding included.
    """

    atoms: slice
    slots: slice
    width: int


class _Gather(torch.autograd.Function):
    """Rows of a tensor of atoms at the neighbours of every piece, whose gradients are added up in
    one tensor of atoms: one of them per piece would cost the square of the number of atoms.
    """

    @staticmethod
    def forward(ctx: Any, nodes: Tensor, *senders: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*senders)
        ctx.rows = len(nodes)
        return tuple(nodes.index_select(0, piece) for piece in senders)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        total = gradients[0].new_zeros(ctx.rows, *gradients[0].shape[1:])
        for piece, gradient in zip(ctx.saved_tensors, gradients, strict=True):
            total.index_add_(0, piece, gradient)
        return total, *[None] * len(gradients)


@dataclass(frozen=True)
class NeighborTables:
    """The edges of a graph as dense tables. Their atoms are sorted by numbers of neighbours,
    descending.

    Args:
        order: Row of the graph that each row of the tables is, shape (atoms,).
        rank: Row of the tables that each row of the graph is, shape (atoms,).
        senders: Neighbour of every slot, a row of the tables, shape (slots,); padding names the
            receiving atom itself.
        vectors: From an atom to its neighbour, Å, shape (slots, 3); padding has the length of the
            cutoff. Differentiable in the graph's vectors.
        pieces: The dense tables.
    """

    order: Int[Tensor, " atoms"]
    rank: Int[Tensor, " atoms"]
    senders: Int[Tensor, " slots"]
    vectors: Float[Tensor, "slots 3"]
    pieces: tuple[Piece, ...]

    def split_atoms(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The rows of each piece's atoms. Splitting, not slicing: the gradient of a slice is as
        large as the whole tensor, and there is one for every piece.
        """
        if len(self.pieces) == 1:
            return (rows,)
        return rows.split([piece.atoms.stop - piece.atoms.start for piece in self.pieces])

    def split_slots(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The rows of each piece's slots."""
        if len(self.pieces) == 1:
            return (rows,)
        return rows.split([piece.slots.stop - piece.slots.start for piece in self.pieces])

    def gather(self, nodes: Float[Tensor, "atoms columns"]) -> tuple[Tensor, ...]:
        """Rows of an atom tensor at the neighbours of each piece, each (atoms, width, columns);
        differentiable, also twice.
        """
        found = _Gather.apply(nodes, *self.split_slots(self.senders))
        return tuple(
            rows.unflatten(0, (-1, piece.width))
            for rows, piece in zip(found, self.pieces, strict=True)
        )


def neighbor_tables(graph: Graph, cutoff: float) -> NeighborTables:
    """Lays the edges of a graph out as dense tables.

    Args:
        graph: Its edges are sorted by receiver and not longer than the cutoff.
        cutoff: Length of the padding, Å.
    """
    device, atoms, edges = graph.species.device, len(graph.species), len(graph.receivers)
    counts = torch.bincount(graph.receivers, minlength=atoms)
    order = torch.argsort(counts, descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(atoms, device=device)
    sorted_counts = counts[order]
    pieces, widths = _cut(sorted_counts.tolist())
    width = torch.tensor(widths, device=device, dtype=torch.long)
    receivers = torch.arange(atoms, device=device).repeat_interleave(width)
    place = torch.arange(len(receivers), device=device) - (
        width.cumsum(0) - width
    ).repeat_interleave(width)
    is_edge = place < sorted_counts[receivers]
    starts = (counts.cumsum(0) - counts)[order]
    # The edge of every slot; padding takes the last row, which is none.
    edge = torch.where(is_edge, starts[receivers] + place, edges)
    senders = torch.cat([graph.senders, graph.senders.new_zeros(1)])[edge]
    senders = torch.where(is_edge, rank[senders], receivers)
    padding = graph.vectors.new_zeros(1, 3)
    padding[:, 0] = cutoff
    vectors = torch.cat([graph.vectors, padding]).index_select(0, edge)
    return NeighborTables(order, rank, senders, vectors, pieces)


def _cut(counts: list[int]) -> tuple[tuple[Piece, ...], list[int]]:
    """Pieces of about equally many slots, for descending numbers of neighbours; and the width at
    each atom.
    """
    pieces: list[Piece] = []
    widths: list[int] = []
    atom = slot = 0
    while atom < len(counts):
        width = max(1, counts[atom])
        stop = min(len(counts), atom + max(1, _SLOTS // width))
        slots = (stop - atom) * width
        pieces.append(Piece(slice(atom, stop), slice(slot, slot + slots), width))
        widths += [width] * (stop - atom)
        atom, slot = stop, slot + slots
    return tuple(pieces), widths
