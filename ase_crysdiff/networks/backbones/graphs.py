"""From crystals to the edges that a backbone reads."""

from typing import NamedTuple

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry.nearest import nearest_neighbors
from ase_crysdiff.geometry.neighbors import Neighbors, neighbor_list
from ase_crysdiff.networks.backbones.base import CrystalGraph, Neighborhood
from ase_crysdiff.shapes import Float, Tensor

#: Images of an atom that it has self-edges to, with their opposites: Matformer's choice (Yan et al.
#: 2022, code).
_SELF_IMAGES = ((0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))


class Topology(NamedTuple):
    """Which atoms are joined, in the order of a batch's atoms, and the profile of their
    distances.
    """

    neighbors: Neighbors
    profile: Float[Tensor, "atoms neighbours"]


def build_graph(crystals: CrystalBatch, neighborhood: Neighborhood) -> CrystalGraph:
    """The graph of crystals.

    Args:
        crystals: Sorted by size, each with at least one atom.
        neighborhood: Which edges and distances.

    Raises:
        ShapeError: If the crystals are not sorted, or one is empty.
        InputError: If the vectors of a cell are not finite and independent, or lie so densely that
            no search is sensible.
    """
    assert crystals.layout.sizes  # a layout refuses what is empty or not sorted
    found = topology(crystals, neighborhood)
    edges = found.neighbors
    return CrystalGraph(crystals, edges.first, edges.second, edges.shifts, found.profile)


def topology(crystals: CrystalBatch, neighborhood: Neighborhood) -> Topology:
    """Edges and profile of crystals in any order.

    Raises:
        InputError: If the vectors of a cell are not finite and independent, or lie so densely that
            no search is sensible.
    """
    cells, counts = crystals.lattice.double(), crystals.num_atoms
    owner = torch.arange(len(crystals), device=cells.device).repeat_interleave(counts)
    positions = (crystals.frac_coords.double().unsqueeze(-1) * cells[owner]).sum(-2)
    nearest = nearest_neighbors(
        positions, cells, counts, neighborhood.neighbors or 0, neighborhood.profile
    )
    edges = nearest.neighbors
    if neighborhood.neighbors is None:
        assert neighborhood.cutoff is not None
        periodic = torch.ones(len(cells), 3, dtype=torch.bool, device=cells.device)
        edges = neighbor_list(positions, cells, periodic, counts, neighborhood.cutoff)
    if neighborhood.self_edges:
        edges = _with_self_edges(edges, len(positions))
    return Topology(edges, nearest.profile.to(crystals.lattice.dtype))


def _with_self_edges(edges: Neighbors, atoms: int) -> Neighbors:
    """Adds the self-edges that the nearest neighbours do not hold already."""
    images = torch.tensor(_SELF_IMAGES, device=edges.first.device)
    images = torch.cat([images, -images])
    own = torch.nonzero(edges.first == edges.second).flatten()
    number = (edges.shifts[own].unsqueeze(1) == images).all(-1)  # (own edges, images)
    has = torch.zeros(atoms, len(images), dtype=torch.bool, device=images.device)
    row, column = torch.nonzero(number, as_tuple=True)
    has[edges.first[own[row]], column] = True
    atom, image = torch.nonzero(~has, as_tuple=True)
    first, second = torch.cat([edges.first, atom]), torch.cat([edges.second, atom])
    order = torch.argsort(first, stable=True)
    return Neighbors(first[order], second[order], torch.cat([edges.shifts, images[image]])[order])
