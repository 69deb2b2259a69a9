"""Two searches for pairs within a cutoff that find the same pairs.

`search_images` looks at every pair of atoms of a system, all systems in one go on any device: best
for many small cells on a GPU, and the reference that the other one is tested against.
`search_cells` hands one system after the other to vesin on the CPU, whose cost and memory grow
linearly with the number of atoms. Both may return pairs slightly beyond the cutoff, in any order.
"""

import numpy as np
import torch

from ase_crysdiff.geometry.segments import segment_index, segment_places, segment_starts
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: Candidates looked at in one piece; bounds the memory of `search_images`.
CHUNK = 2**18

#: Receiver, sender and cell offset of every pair.
Found = tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"], Int[Tensor, "pairs 3"]]


def search_cells(
    positions: Float[Tensor, "atoms 3"],
    cells: Float[Tensor, "systems 3 3"],
    periodic: Bool[Tensor, "systems 3"],
    num_atoms: Int[Tensor, " systems"],
    cutoffs: Float[Tensor, " systems"],
) -> Found:
    """Pairs by linked cells (vesin), one system after the other, on the CPU.

    Args:
        positions: Å, double precision.
        cells: Rows in Å that span a volume, also along open axes.
        periodic: Which axes repeat.
        num_atoms: Atoms of each system.
        cutoffs: Å.
    """
    from vesin import NeighborList  # type: ignore[import-untyped]

    device = positions.device
    boxes, axes = cells.cpu().numpy(), periodic.cpu().numpy()
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    counts = num_atoms.tolist()
    start = 0
    for number, (points, cutoff) in enumerate(
        zip(positions.cpu().split(counts), cutoffs.tolist(), strict=True)
    ):
        if counts[number]:
            search = NeighborList(cutoff=cutoff, full_list=True, n_threads=torch.get_num_threads())
            i, j, offsets = search.compute(points.numpy(), boxes[number], axes[number], "ijS")
            parts.append((i.astype(np.int64) + start, j.astype(np.int64) + start, offsets))
        start += counts[number]
    if not parts:
        empty = torch.zeros(0, dtype=torch.long, device=device)
        return empty, empty, empty.view(0, 3)
    receivers, senders, offsets = (
        torch.from_numpy(np.concatenate(columns)).long().to(device)
        for columns in zip(*parts, strict=True)
    )
    return receivers, senders, offsets


def search_images(
    positions: Float[Tensor, "atoms 3"],
    cells: Float[Tensor, "systems 3 3"],
    periodic: Bool[Tensor, "systems 3"],
    num_atoms: Int[Tensor, " systems"],
    cutoffs: Float[Tensor, " systems"],
) -> Found:
    """Pairs by looking at every pair of atoms of a system and the images that the cutoff reaches.

    Every pair is first brought to the image whose fractional difference is within half a cell along
    each periodic axis; further images are then looked at only as far as the cutoff reaches. A cell
    wider than twice the cutoff thus has one candidate per pair, whatever its angles, and thin or
    skewed cells have as many as they need.

    Args:
        positions: Å, double precision.
        cells: Rows in Å that span a volume, also along open axes.
        periodic: Which axes repeat.
        num_atoms: Atoms of each system.
        cutoffs: Å.
    """
    device = positions.device
    inverse = torch.linalg.inv(cells)
    reach = reached_images(inverse, periodic, cutoffs)
    limits = cutoffs.square()
    first, second, owner = _all_pairs(num_atoms)
    table, table_start, counts = _image_table(reach)
    table_cart = (table.double().unsqueeze(-1) * cells[segment_index(counts)]).sum(-2)
    found: list[Found] = []
    candidates = counts[owner]
    ends = candidates.cumsum(0)
    start = 0
    while start < len(first):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, before + CHUNK, right=True)))
        i, j, s = first[start:stop], second[start:stop], owner[start:stop]
        difference = positions[j] - positions[i]
        frac = (difference.unsqueeze(-1) * inverse[s]).sum(-2)
        home = torch.where(periodic[s], -torch.round(frac), 0.0)
        difference = difference + (home.unsqueeze(-1) * cells[s]).sum(-2)
        many = candidates[start:stop]
        pair = segment_index(many)
        image = segment_places(many) + table_start[s].repeat_interleave(many)
        square = (difference[pair] + table_cart[image]).square().sum(-1)
        # The home image of an atom is the atom.
        itself = (i == j)[pair] & (table[image] == 0).all(-1)
        near = torch.nonzero((square < limits[s][pair]) & ~itself).flatten()
        pair, image = pair[near], image[near]
        found.append((i[pair], j[pair], home[pair].long() + table[image]))
        start = stop
    if not found:
        empty = torch.zeros(0, dtype=torch.long, device=device)
        return empty, empty, empty.view(0, 3)
    receivers, senders, offsets = (torch.cat(parts) for parts in zip(*found, strict=True))
    return receivers, senders, offsets


def reached_images(
    inverse: Float[Tensor, "systems 3 3"],
    periodic: Bool[Tensor, "systems 3"],
    cutoffs: Float[Tensor, " systems"],
) -> Int[Tensor, "systems 3"]:
    """How many cells a cutoff reaches along each axis, beyond an atom's nearest image; 0 along open
    axes.

    Args:
        inverse: Inverse of the lattice vectors, 1/Å.
        periodic: Which axes repeat.
        cutoffs: Å.
    """
    spacings = 1 / torch.linalg.vector_norm(inverse, dim=-2)
    return torch.where(periodic, torch.floor(cutoffs[:, None] / spacings + 0.5), 0.0).long()


def _all_pairs(num_atoms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ordered pairs of atoms of the same system, sorted by the first, and their system."""
    system = segment_index(num_atoms)
    size = num_atoms[system]
    first = segment_index(size)
    owner = system[first]
    return first, segment_starts(num_atoms)[owner] + segment_places(size), owner


def _image_table(reach: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cells (a, b, c) with |a| ≤ reach_a and so on, of all systems one after the other; where each
    begins; how many.
    """
    sides = 2 * reach + 1
    counts = sides.prod(-1)
    owner, place = segment_index(counts), segment_places(counts)
    _, b, c = sides[owner].unbind(-1)
    cells = torch.stack([place // (b * c), (place // c) % b, place % c], -1) - reach[owner]
    return cells, segment_starts(counts), counts
