"""Shortest distances between all atoms of each cell, for many cells at once."""

from typing import NamedTuple

from ase_crysdiff.geometry import distances
from ase_crysdiff.geometry.segments import segment_index, segment_places
from ase_crysdiff.shapes import Float, Int, Tensor


class Pairs(NamedTuple):
    """Every unordered pair of atoms of the same cell, an atom with itself included, one cell after
    the other.
    """

    first: Int[Tensor, " pairs"]
    second: Int[Tensor, " pairs"]


def all_pairs(num_atoms: Int[Tensor, " crystals"]) -> Pairs:
    """The pairs of atoms i <= j of cells with these numbers of atoms."""
    size = num_atoms.repeat_interleave(num_atoms)
    partners = size - segment_places(num_atoms)  # itself and those that come later
    first = segment_index(partners)
    return Pairs(first, first + segment_places(partners))


def pair_distances(
    pairs: Pairs,
    frac_coords: Float[Tensor, "atoms 3"],
    lattice: Float[Tensor, "crystals 3 3"],
    num_atoms: Int[Tensor, " crystals"],
) -> Float[Tensor, " pairs"]:
    """Shortest distance of each pair, Å, and of an atom to its own images.

    Args:
        pairs: Of `all_pairs` for these numbers of atoms.
        frac_coords: Of all cells, one after the other.
        lattice: Rows in Å, near enough to Niggli cells that the nearest image is among the 27
            around the rounded one.
        num_atoms: Of each cell.
    """
    owner = segment_index(num_atoms)[pairs.first]
    return distances.pair_distances(pairs.first, pairs.second, frac_coords, lattice[owner])
