"""Close pairs of atoms of a structure."""

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.crystal.coordinates import frac_coords_of
from ase_crysdiff.geometry.neighbors import neighbor_list


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
    return pairs_within(np.asarray(structure.lattice.matrix), frac_coords_of(structure), cutoff)


def pairs_within(
    lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All ordered pairs of atoms of a crystal closer than a cutoff, images included, an atom and
    itself not. Time and memory grow like the number of atoms.

    Args:
        lattice: Rows in Å that span a volume, shape (3, 3).
        frac_coords: Shape (atoms, 3).
        cutoff: Å.

    Returns:
        First atom, second atom and distance in Å of every pair, each of shape (pairs,).

    Raises:
        InputError: If the cell is so thin that the cutoff reaches more than 50,000 images.
    """
    cell = torch.from_numpy(np.array(lattice, dtype=np.float64)).unsqueeze(0)
    positions = torch.from_numpy(np.array(frac_coords @ lattice, dtype=np.float64).reshape(-1, 3))
    periodic, count = torch.ones(1, 3, dtype=torch.bool), torch.tensor([len(positions)])
    found = neighbor_list(positions, cell, periodic, count, cutoff)
    vectors = found.vectors(positions, cell, torch.zeros(len(positions), dtype=torch.long))
    return found.receivers.numpy(), found.senders.numpy(), vectors.norm(dim=-1).numpy()
