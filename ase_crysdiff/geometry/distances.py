"""Shortest distances in periodic cells: of all pairs, of given pairs, and whether any is too short.

Vectors are exact where the nearest image of a pair is among the 27 cells around the one that is
nearest along each axis, as it is in Niggli-reduced cells; `has_close_pair` is exact in every cell.
"""

import torch

from ase_crysdiff.geometry.lattice import NEIGHBOUR_CELLS
from ase_crysdiff.geometry.neighbors import neighbor_list
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.shapes import Bool, Float, Int, Tensor


def image_vectors(
    difference: Float[Tensor, "*rows 3"], lattice: Float[Tensor, "*lattices 3 3"]
) -> Float[Tensor, "*rows 27 3"]:
    """Vectors to 27 images, Å, of which one is the nearest.

    Args:
        difference: Fractional coordinates of the end minus those of the start.
        lattice: Rows in Å; one, or one for each row, or anything that broadcasts to that.
    """
    near = shortest_image(difference).unsqueeze(-2) @ lattice
    return near + NEIGHBOUR_CELLS.to(lattice) @ lattice


def nearest_vectors(
    difference: Float[Tensor, "*rows 3"], lattice: Float[Tensor, "*lattices 3 3"]
) -> Float[Tensor, "*rows 3"]:
    """Vector to the nearest image, Å; differentiable.

    Args:
        difference: Fractional coordinates of the end minus those of the start.
        lattice: Rows in Å; one, or one for each row, or anything that broadcasts to that.
    """
    ways = image_vectors(difference, lattice)
    image = ways.square().sum(-1).argmin(-1)
    return ways.gather(-2, image[..., None, None].expand(*image.shape, 1, 3)).squeeze(-2)


def shortest_distance(
    frac_coords: Float[Tensor, "atoms 3"], lattice: Float[Tensor, "3 3"]
) -> Float[Tensor, "atoms atoms"]:
    """Shortest distance of every pair of atoms, Å; on the diagonal that of an atom and its own
    images. Takes 27 numbers for each pair: for cells of at most some hundred atoms.
    """
    square = image_vectors(frac_coords[None] - frac_coords[:, None], lattice).square().sum(-1)
    own = torch.eye(len(frac_coords), dtype=torch.bool, device=frac_coords.device)
    return _without_self(square, own).sqrt()


def pair_distances(
    first: Int[Tensor, " pairs"],
    second: Int[Tensor, " pairs"],
    frac_coords: Float[Tensor, "atoms 3"],
    lattice: Float[Tensor, "pairs 3 3"],
) -> Float[Tensor, " pairs"]:
    """Shortest distance of each pair, Å; where both atoms are the same, to its own images.

    Args:
        first: Row of an atom for each pair.
        second: Row of the other atom.
        frac_coords: Of all atoms.
        lattice: Of the cell that each pair lies in, rows in Å.
    """
    square = image_vectors(frac_coords[second] - frac_coords[first], lattice).square().sum(-1)
    return _without_self(square, first == second).sqrt()


def has_close_pair(
    frac_coords: Float[Tensor, "atoms 3"], lattice: Float[Tensor, "3 3"], limit: float
) -> bool:
    """Whether two atoms, or an atom and its own image, lie closer than a limit. Time and memory
    grow like the number of atoms.

    Args:
        frac_coords: Of one crystal.
        lattice: Rows in Å that span a volume.
        limit: Å.

    Raises:
        InputError: If the vectors are not finite and independent, or lie so densely that the limit
            reaches more than 50,000 images.
    """
    lattice = lattice.double()
    periodic = torch.ones(1, 3, dtype=torch.bool, device=lattice.device)
    count = torch.tensor([len(frac_coords)], device=lattice.device)
    found = neighbor_list(frac_coords.double() @ lattice, lattice[None], periodic, count, limit)
    return bool(len(found.receivers))


def _without_self(
    square: Float[Tensor, "*pairs 27"], own: Bool[Tensor, "*pairs"]
) -> Float[Tensor, "*pairs"]:
    """The smallest square, where an atom and itself in the same place do not count."""
    home = (NEIGHBOUR_CELLS == 0).all(-1).to(square.device)
    return square.masked_fill(own.unsqueeze(-1) & home, torch.inf).amin(-1)
