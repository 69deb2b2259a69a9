"""Close pairs of atoms of a structure."""

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.geometry.neighbors import neighbor_list

#: pymatgen sorts atoms into cubes of the cutoff's size and keeps every cube, empty or not: a box of
#: 1,000 Å takes 27 GB.
_MAX_CUBES = 10**6


def close_pairs(
    structure: Structure, cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All ordered pairs of atoms closer than a cutoff, images included, an atom and itself not.

    Args:
        structure: One whose cell spans a volume.
        cutoff: Å.

    Returns:
        First atom, second atom and distance in Å of every pair, each of shape (pairs,).
    """
    if structure.volume < _MAX_CUBES * cutoff**3:
        first, second, _, distances = structure.get_neighbor_list(cutoff, exclude_self=True)
        return first, second, distances
    positions = torch.from_numpy(np.array(structure.cart_coords))
    cell = torch.from_numpy(np.array(structure.lattice.matrix)).unsqueeze(0)
    periodic, count = torch.ones(1, 3, dtype=torch.bool), torch.tensor([len(structure)])
    found = neighbor_list(positions, cell, periodic, count, cutoff)
    vectors = found.vectors(positions, cell, torch.zeros(len(structure), dtype=torch.long))
    return found.first.numpy(), found.second.numpy(), vectors.norm(dim=-1).numpy()
