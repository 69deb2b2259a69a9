"""The k nearest neighbours of every atom in crystals, and how their distances go up.

A search within a radius that the density suggests comes first; crystals in which an atom has found
too few are searched again with a larger one, so that the result does not depend on the radius.
Neighbours that are as far as the k-th one are kept too: a symmetric crystal keeps whole shells, and
rounding errors do not choose among their atoms.
"""

import math
from dataclasses import dataclass

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.neighbors import Neighbors, neighbor_list
from ase_crysdiff.geometry.segments import segment_index, segment_places
from ase_crysdiff.shapes import Float, Int, Tensor

#: Neighbours that are farther than the k-th by no more than this count as equally far, Å.
TIE = 1e-3
#: First radius over that of a sphere which holds k atoms at the mean density; by what a radius that
#: was too small grows.
_FIRST, _GROWTH = 1.1, 1.3


@dataclass(frozen=True)
class Nearest:
    """Nearest neighbours.

    Args:
        neighbors: Pairs of which at least one atom is among the nearest of the other, so that every
            pair has its reverse.
        profile: Ascending distances from every atom to its nearest neighbours, Å, shape (atoms,
            columns).
    """

    neighbors: Neighbors
    profile: Float[Tensor, "atoms columns"]


def nearest_neighbors(
    positions: Float[Tensor, "atoms 3"],
    cells: Float[Tensor, "crystals 3 3"],
    num_atoms: Int[Tensor, " crystals"],
    count: int,
    columns: int = 0,
) -> Nearest:
    """The `count` nearest neighbours of every atom among all periodic images, with ties, and the
    reverse of every pair.

    Args:
        positions: Å, inside the cell or not.
        cells: Lattice vectors as rows, Å.
        num_atoms: Atoms of each crystal, each at least 1.
        count: k; may be 0.
        columns: Distances per atom in the profile; may exceed k.

    Raises:
        InputError: If a position is not finite, or the vectors of a cell are not finite and
            independent, or lie so densely that no search is sensible.
    """
    if not bool(torch.isfinite(positions).all()):
        atom = int(torch.nonzero(~torch.isfinite(positions).all(-1))[0])
        raise InputError(
            f"Atom {atom} is at {positions[atom].tolist()}, which is no place. Leave its crystal "
            "out."
        )
    with torch.no_grad():
        positions, cells = positions.detach().double(), cells.detach().double()
        owner = segment_index(num_atoms)
        profile = positions.new_zeros(len(positions), columns)
        wanted = max(count, columns)
        radii = _first_radii(cells, num_atoms, wanted)
        todo = torch.arange(len(cells) if wanted else 0, device=cells.device)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        while len(todo):
            is_open = torch.zeros(len(cells), dtype=torch.bool, device=cells.device)
            is_open[todo] = True
            atoms = torch.nonzero(is_open[owner]).flatten()
            near, distances = _within(positions[atoms], cells[todo], num_atoms[todo], radii[todo])
            table = _ascending(distances, near.receivers, len(atoms), wanted)
            is_short = table[:, -1] + TIE >= radii[owner[atoms]]
            is_open.zero_()
            is_open[owner[atoms[is_short]]] = True
            finished = ~is_open[owner[atoms]]
            profile[atoms[finished]] = table[finished, :columns]
            last = table[:, count - 1] + TIE if count else torch.full_like(table[:, 0], -1.0)
            kept = finished[near.receivers] & (
                distances <= torch.maximum(last[near.receivers], last[near.senders])
            )
            found.append(
                (atoms[near.receivers[kept]], atoms[near.senders[kept]], near.cell_offsets[kept])
            )
            todo = torch.nonzero(is_open).flatten()
            radii = radii * _GROWTH
        return Nearest(_joined(found, cells.device), profile)


def _first_radii(cells: Tensor, num_atoms: Tensor, wanted: int) -> Tensor:
    """A sphere of this radius holds about half as many atoms again as wanted, at the crystal's mean
    density.
    """
    volume = torch.linalg.det(cells).abs() / num_atoms
    return _FIRST * (3 * (wanted + 1) * volume / (4 * math.pi)) ** (1 / 3) + 2 * TIE


def _within(
    positions: Tensor, cells: Tensor, num_atoms: Tensor, radii: Tensor
) -> tuple[Neighbors, Tensor]:
    periodic = torch.ones(len(cells), 3, dtype=torch.bool, device=cells.device)
    near = neighbor_list(positions, cells, periodic, num_atoms, radii)
    index = segment_index(num_atoms)
    return near, torch.linalg.vector_norm(near.vectors(positions, cells, index), dim=-1)


def _ascending(
    distances: Tensor, first: Tensor, atoms: int, columns: int
) -> Float[Tensor, "atoms columns"]:
    """The smallest distances of each atom in order; infinite where there are too few."""
    counts = torch.bincount(first, minlength=atoms)
    place = segment_places(counts)
    table = distances.new_full((atoms, max(columns, int(counts.max()))), torch.inf)
    table[first, place] = distances
    return torch.topk(table, columns, largest=False, sorted=True).values


def _joined(found: list[tuple[Tensor, Tensor, Tensor]], device: torch.device) -> Neighbors:
    if not found:
        empty = torch.zeros(0, dtype=torch.long, device=device)
        return Neighbors(empty, empty, empty.view(0, 3))
    first, second, shifts = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = torch.argsort(first, stable=True)
    return Neighbors(first[order], second[order], shifts[order])
