"""Shortest distances between all atoms of each cell, for many cells at once."""

from typing import NamedTuple

import torch

from ase_crysdiff.geometry.lattice import NEIGHBOUR_CELLS
from ase_crysdiff.geometry.torus import shortest_image
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
    atoms = torch.arange(len(size), device=size.device)
    start = (num_atoms.cumsum(0) - num_atoms).repeat_interleave(num_atoms)
    partners = size - (atoms - start)  # itself and those that come later
    first = atoms.repeat_interleave(partners)
    within = torch.arange(len(first), device=size.device) - (partners.cumsum(0) - partners)[first]
    return Pairs(first, first + within)


def pair_distances(
    pairs: Pairs,
    frac_coords: Float[Tensor, "atoms 3"],
    lattice: Float[Tensor, "crystals 3 3"],
    num_atoms: Int[Tensor, " crystals"],
) -> Float[Tensor, " pairs"]:
    """Shortest distance of each pair, Å, and of an atom to its own images; as exact as
    `geometry.lattice.shortest_distance`.
    """
    owner = torch.arange(len(num_atoms), device=num_atoms.device).repeat_interleave(num_atoms)[
        pairs.first
    ]
    near = shortest_image(frac_coords[pairs.second] - frac_coords[pairs.first])
    cells = NEIGHBOUR_CELLS.to(frac_coords)
    images = (cells @ lattice)[owner]  # (pairs, 27, 3)
    square = (
        (images + torch.einsum("pi,pij->pj", near, lattice[owner]).unsqueeze(1)).square().sum(-1)
    )
    itself = (pairs.first == pairs.second).unsqueeze(-1) & (cells == 0).all(-1)
    return square.masked_fill(itself, torch.inf).amin(-1).sqrt()
