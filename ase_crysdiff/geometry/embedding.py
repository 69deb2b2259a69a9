"""Positions in a periodic cell from wanted distances."""

import torch

from ase_crysdiff.geometry.distances import nearest_vectors
from ase_crysdiff.geometry.pairs import all_pairs
from ase_crysdiff.geometry.torus import wrap
from ase_crysdiff.shapes import Float, Tensor

#: Three times as many lower the root mean square error of distances by less than a twentieth.
SWEEPS = 100


def positions_from_distances(
    wanted: Float[Tensor, " pairs"],
    lattice: Float[Tensor, "3 3"],
    starts: Float[Tensor, "starts atoms 3"],
) -> Float[Tensor, "atoms 3"]:
    """Fractional coordinates of one cell whose shortest distances come as near to given ones as
    they do from several starts.

    Every sweep moves each atom by the mean of what its distances to all atoms ask for. Distances do
    not tell a crystal from its mirror image, and those of few atoms in a cell leave positions open:
    of two atoms, all but one number.

    Args:
        wanted: Shortest distances, Å, in the order of `all_pairs`; those of atoms to themselves are
            not read.
        lattice: Rows in Å, near enough to a Niggli cell that the nearest image is among the 27
            around the rounded one.
        starts: Fractional coordinates to begin with.

    Returns:
        The outcome of the start whose squared errors are smallest in sum.

    Source: de Leeuw 1977 (SMACOF: Guttman's transform with unit weights); nearest images, which may
    change, are ours.
    """
    count = starts.shape[1]
    pairs = all_pairs(torch.tensor([count], device=starts.device))
    matrix = wanted.new_zeros(count, count).index_put((pairs.first, pairs.second), wanted)
    matrix = (matrix + matrix.T).fill_diagonal_(0)
    inverse = torch.linalg.inv_ex(lattice).inverse
    frac = starts
    for _ in range(SWEEPS):
        ways, distances = _nearest(frac, lattice)
        steps = ((1 - matrix / distances.clamp_min(1e-3)).unsqueeze(-1) * ways).sum(2) / count
        frac = wrap(frac + steps @ inverse)
    _, distances = _nearest(frac, lattice)
    return frac[(distances - matrix).square().sum((1, 2)).argmin()]


def _nearest(
    frac: Float[Tensor, "starts atoms 3"], lattice: Float[Tensor, "3 3"]
) -> tuple[Float[Tensor, "starts atoms atoms 3"], Float[Tensor, "starts atoms atoms"]]:
    """From each atom to the nearest image of each, as vector and distance, Å; nothing from an atom
    to itself.
    """
    way = nearest_vectors(frac.unsqueeze(1) - frac.unsqueeze(2), lattice)
    return way, torch.linalg.vector_norm(way, dim=-1)
