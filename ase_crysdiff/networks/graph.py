"""Atoms and their neighbours as dense tables.

Atoms are sorted by how many neighbours they have and cut into pieces of similar ones. Each piece is
a dense (atoms, neighbours) table, padded with edges that end at the cutoff and therefore weigh
nothing. Sums over neighbours are then sums over an axis, and a piece is small enough for a
processor's cache.
"""

from dataclasses import dataclass

import torch

from ase_crysdiff.geometry.neighbors import Neighbors
from ase_crysdiff.shapes import Float, Int, Tensor

#: Slots of one piece: measured best on a CPU between 1,000 and 16,000.
_SLOTS = 3000


@dataclass(frozen=True)
class Piece:
    """Atoms of similar numbers of neighbours.

    Args:
        atoms: Which rows of the graph.
        slots: Which rows of its edge tensors.
        width: Neighbours per atom, padding included.
    """

    atoms: slice
    slots: slice
    width: int

    def view(self, edges: Tensor) -> Tensor:
        """The piece's part of an edge tensor as (atoms, width, ...)."""
        return edges[self.slots].unflatten(0, (self.atoms.stop - self.atoms.start, self.width))

    def gather(self, nodes: Tensor, second: Tensor) -> Tensor:
        """Rows of an atom tensor at the piece's neighbours, as (atoms, width, ...)."""
        return nodes.index_select(0, second).unflatten(
            0, (self.atoms.stop - self.atoms.start, self.width)
        )


@dataclass(frozen=True)
class PeriodicGraph:
    """What a periodic encoder reads. Atoms are in the graph's own order.

    Args:
        species: Atomic numbers, shape (atoms,).
        vectors: From an atom to its neighbour, Å, shape (slots, 3); padding has the length of the
            cutoff.
        first: Atom of every slot, shape (slots,).
        second: Its neighbour, shape (slots,); padding names the atom itself.
        index: The set of each atom, shape (atoms,).
        num_sets: How many there are.
        order: Where each row was in the input, shape (atoms,).
        pieces: The dense tables.
    """

    species: Int[Tensor, " atoms"]
    vectors: Float[Tensor, "slots 3"]
    first: Int[Tensor, " slots"]
    second: Int[Tensor, " slots"]
    index: Int[Tensor, " atoms"]
    num_sets: int
    order: Int[Tensor, " atoms"]
    pieces: tuple[Piece, ...]


def periodic_graph(
    species: Int[Tensor, " atoms"],
    index: Int[Tensor, " atoms"],
    num_sets: int,
    neighbors: Neighbors,
    vectors: Float[Tensor, "pairs 3"],
    cutoff: float,
) -> PeriodicGraph:
    """Lays pairs out as dense tables.

    Args:
        species: Atomic numbers.
        index: The set of each atom.
        num_sets: How many sets.
        neighbors: Pairs within the cutoff, sorted by their first atom.
        vectors: Of every pair, Å.
        cutoff: Å.
    """
    device, atoms, pairs = species.device, len(species), len(neighbors.first)
    counts = torch.bincount(neighbors.first, minlength=atoms)
    order = torch.argsort(counts, descending=True, stable=True)
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(atoms, device=device)
    sorted_counts = counts[order]
    pieces, widths = _cut(sorted_counts.tolist())
    width = torch.tensor(widths, device=device, dtype=torch.long)
    first = torch.arange(atoms, device=device).repeat_interleave(width)
    place = torch.arange(len(first), device=device) - (width.cumsum(0) - width).repeat_interleave(
        width
    )
    real = place < sorted_counts[first]
    starts = (counts.cumsum(0) - counts)[order]
    pair = (starts[first] + place)[real]
    second = first.clone()
    second[real] = inverse[neighbors.second[pair]]
    padded = vectors.new_zeros(len(first), 3)
    padded[:, 0] = cutoff
    if pairs:
        padded[real] = vectors[pair]
    return PeriodicGraph(
        species[order], padded, first, second, index[order], num_sets, order, pieces
    )


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
