"""Pairs of atoms within a cutoff, for many sets of atoms at once, each periodic along any of its
axes.

Every pair is first brought to the image whose fractional difference is within half a cell along
each periodic axis; further images are then looked at only as far as the cutoff reaches. A cell
wider than twice the cutoff thus has one candidate per pair, whatever its angles, and thin or skewed
cells have as many as they need.
"""

from dataclasses import dataclass

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: Candidates looked at in one piece; bounds the memory of a search.
_CHUNK = 2**18
#: Images of one cell beyond which it is refused: so thin a cell is a mistake, and would fill the
#: memory.
_MAX_IMAGES = 50_000


@dataclass(frozen=True)
class Neighbors:
    """Ordered pairs of atoms, sorted by the first: both (i, j, S) and (j, i, -S) are there.

    Args:
        first: Atom i of every pair, shape (pairs,).
        second: Atom j, shape (pairs,).
        shifts: Cells S by which the image of j is displaced: its place is x_j + S @ cell. Shape
            (pairs, 3).
    """

    first: Int[Tensor, " pairs"]
    second: Int[Tensor, " pairs"]
    shifts: Int[Tensor, "pairs 3"]

    def vectors(
        self,
        positions: Float[Tensor, "atoms 3"],
        cells: Float[Tensor, "sets 3 3"],
        index: Int[Tensor, " atoms"],
    ) -> Float[Tensor, "pairs 3"]:
        """From atom i to the image of atom j, Å; differentiable in positions and cells.

        Args:
            positions: Å.
            cells: Lattice vectors as rows, Å.
            index: The set that each atom belongs to.
        """
        shifts = self.shifts.to(positions.dtype)
        moved = (shifts.unsqueeze(-1) * cells[index[self.first]]).sum(-2)
        return positions[self.second] - positions[self.first] + moved


def neighbor_list(
    positions: Float[Tensor, "atoms 3"],
    cells: Float[Tensor, "sets 3 3"],
    periodic: Bool[Tensor, "sets 3"],
    num_atoms: Int[Tensor, " sets"],
    cutoff: float | Float[Tensor, " sets"],
) -> Neighbors:
    """All pairs closer than a cutoff, an atom and its own images included.

    Args:
        positions: Å, anywhere: inside the cell or not.
        cells: Lattice vectors as rows, Å. Rows along axes that do not repeat are ignored.
        periodic: Which axes repeat.
        num_atoms: Atoms of each set.
        cutoff: Å, one for all sets or one for each.

    Raises:
        InputError: If the repeating vectors of a cell do not span a volume, area or length, or lie
            so densely that the cutoff reaches more than 50,000 images.
    """
    with torch.no_grad():
        positions, complete = (
            positions.detach().double(),
            complete_cells(cells.detach().double(), periodic),
        )
        inverse = torch.linalg.inv(complete)
        spacings = 1 / torch.linalg.vector_norm(inverse, dim=-2)
        cutoffs = torch.as_tensor(cutoff, dtype=torch.float64, device=cells.device).expand(
            len(cells)
        )
        reach = torch.where(periodic, torch.floor(cutoffs[:, None] / spacings + 0.5), 0.0)
        images = (2 * reach + 1).prod(-1)
        if not bool((images <= _MAX_IMAGES).all()):
            bad = int(torch.argmax(torch.where(images <= _MAX_IMAGES, 0, 1)))
            raise InputError(
                f"The cell of configuration {bad} repeats every {spacings[bad].min():.2g} Å, so "
                f"that {cutoffs[bad]:.4g} Å reach "
                f"more than {_MAX_IMAGES:,} of its images. Check the cell, or which axes are "
                "periodic."
            )
        return _search(
            positions, complete, inverse, periodic, num_atoms, reach.long(), cutoffs.square()
        )


def complete_cells(
    cells: Float[Tensor, "sets 3 3"], periodic: Bool[Tensor, "sets 3"]
) -> Float[Tensor, "sets 3 3"]:
    """Cells whose open axes are replaced by unit vectors perpendicular to the others.

    Raises:
        InputError: If the periodic vectors are zero, parallel or not finite.
    """
    full = torch.where(periodic.unsqueeze(-1), cells, torch.zeros_like(cells))
    if not bool(periodic.all()):
        for number in torch.nonzero(~periodic.all(-1)).flatten().tolist():
            full[number] = _complete(full[number], periodic[number])
    lengths = torch.linalg.vector_norm(full, dim=-1)
    shape = torch.linalg.det(full).abs() / lengths.prod(-1).clamp_min(1e-30)
    good = torch.isfinite(full).all(-1).all(-1) & (lengths > 1e-6).all(-1) & (shape > 1e-6)
    if not bool(good.all()):
        bad = int(torch.nonzero(~good)[0])
        raise InputError(
            f"The periodic lattice vectors of configuration {bad} are {cells[bad].tolist()} with "
            "periodic axes "
            f"{periodic[bad].tolist()}; they must be finite and independent. Set a cell, or switch "
            "periodicity off."
        )
    return full


def _complete(cell: Float[Tensor, "3 3"], periodic: Bool[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """Gram-Schmidt over the coordinate axes, for each open axis the direction that the others leave
    freest.
    """
    cell = cell.clone()
    done = [row / torch.linalg.vector_norm(row).clamp_min(1e-30) for row in cell[periodic]]
    if len(done) == 2:
        done[1] = done[1] - (done[1] @ done[0]) * done[0]
        done[1] = done[1] / torch.linalg.vector_norm(done[1]).clamp_min(1e-30)
    for axis in torch.nonzero(~periodic).flatten().tolist():
        candidates = torch.eye(3, dtype=cell.dtype, device=cell.device)
        for row in done:
            candidates = candidates - (candidates @ row).unsqueeze(-1) * row
        norms = torch.linalg.vector_norm(candidates, dim=-1)
        best = candidates[int(norms.argmax())] / norms.max()
        cell[axis] = best
        done.append(best)
    return cell


def _search(
    positions: Tensor,
    cells: Tensor,
    inverse: Tensor,
    periodic: Tensor,
    num_atoms: Tensor,
    reach: Tensor,
    limits: Tensor,
) -> Neighbors:
    device = positions.device
    first, second, owner = _all_pairs(num_atoms)
    table, table_start, counts = _image_table(reach)
    table_cart = (
        table.double().unsqueeze(-1)
        * cells[torch.arange(len(cells), device=device).repeat_interleave(counts)]
    ).sum(-2)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    candidates = counts[owner]
    ends = candidates.cumsum(0)
    start = 0
    while start < len(first):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, before + _CHUNK, right=True)))
        i, j, s = first[start:stop], second[start:stop], owner[start:stop]
        difference = positions[j] - positions[i]
        frac = (difference.unsqueeze(-1) * inverse[s]).sum(-2)
        home = torch.where(periodic[s], -torch.round(frac), 0.0)
        difference = difference + (home.unsqueeze(-1) * cells[s]).sum(-2)
        many = candidates[start:stop]
        pair = torch.arange(len(i), device=device).repeat_interleave(many)
        image = torch.arange(len(pair), device=device) - (
            many.cumsum(0) - many - table_start[s]
        ).repeat_interleave(many)
        square = (difference[pair] + table_cart[image]).square().sum(-1)
        itself = (i == j)[pair] & (table[image] == 0).all(
            -1
        )  # the home image of an atom is the atom
        near = torch.nonzero((square < limits[s][pair]) & ~itself).flatten()
        pair, image = pair[near], image[near]
        found.append((i[pair], j[pair], home[pair].long() + table[image]))
        start = stop
    if not found:
        empty = torch.zeros(0, dtype=torch.long, device=device)
        return Neighbors(empty, empty, empty.view(0, 3))
    return Neighbors(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _all_pairs(num_atoms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ordered pairs of atoms of the same set, sorted by the first, and their set."""
    device = num_atoms.device
    sets = torch.arange(len(num_atoms), device=device).repeat_interleave(num_atoms)
    size = num_atoms[sets]
    first = torch.arange(len(sets), device=device).repeat_interleave(size)
    within = torch.arange(len(first), device=device) - (size.cumsum(0) - size).repeat_interleave(
        size
    )
    owner = sets[first]
    second = (num_atoms.cumsum(0) - num_atoms)[owner] + within
    return first, second, owner


def _image_table(reach: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cells (a, b, c) with |a| ≤ reach_a and so on, of all sets one after the other; where each
    begins; how many.
    """
    sides = 2 * reach + 1
    counts = sides.prod(-1)
    start = counts.cumsum(0) - counts
    owner = torch.arange(len(reach), device=reach.device).repeat_interleave(counts)
    place = torch.arange(len(owner), device=reach.device) - start[owner]
    _, b, c = sides[owner].unbind(-1)
    cells = torch.stack([place // (b * c), (place // c) % b, place % c], -1) - reach[owner]
    return cells, start, counts
