"""Pairs of atoms within a cutoff, for many systems at once, each periodic along any of its axes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.neighbor_search import reached_images, search_cells, search_images
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: Images of one cell beyond which it is refused: so thin a cell is a mistake, and would fill the
#: memory.
_MAX_IMAGES = 50_000
#: On a GPU, systems of at most this many atoms are searched there; larger ones on the CPU, where
#: the cost is linear.
_MAX_ATOMS_ON_GPU = 256
#: Searches go this much farther, so that the cutoff itself is judged by one formula for both.
_SLACK = 1e-9


@dataclass(frozen=True)
class Neighbors:
    """Ordered pairs of atoms: both (i, j, S) and (j, i, -S) are there. Sorted by receiver, then
    sender, then offset, so that they do not depend on how they were found.

    Args:
        receivers: Atom i of every pair, whose neighbour it is about, shape (pairs,).
        senders: Atom j, the neighbour, shape (pairs,).
        cell_offsets: Cells S by which the image of j is displaced: its place is x_j + S @ cell.
            Shape (pairs, 3).
    """

    receivers: Int[Tensor, " pairs"]
    senders: Int[Tensor, " pairs"]
    cell_offsets: Int[Tensor, "pairs 3"]

    def select(self, which: Bool[Tensor, " pairs"]) -> "Neighbors":
        """The pairs for which the mask is true, in the same order."""
        chosen = torch.nonzero(which).flatten()
        return Neighbors(*(column.index_select(0, chosen) for column in _columns(self)))

    def vectors(
        self,
        positions: Float[Tensor, "atoms 3"],
        cells: Float[Tensor, "systems 3 3"],
        index: Int[Tensor, " atoms"],
    ) -> Float[Tensor, "pairs 3"]:
        """From atom i to the image of atom j, Å; differentiable in positions and cells.

        Args:
            positions: Å.
            cells: Lattice vectors as rows, Å.
            index: The system that each atom belongs to.
        """
        owner = index[self.receivers]
        a, b, c = self.cell_offsets.to(positions.dtype).unsqueeze(-1).unbind(1)
        rows = [cells[:, axis].index_select(0, owner) for axis in range(3)]
        moved = a * rows[0] + b * rows[1] + c * rows[2]
        return positions[self.senders] - positions[self.receivers] + moved


def neighbor_list(
    positions: Float[Tensor, "atoms 3"],
    cells: Float[Tensor, "systems 3 3"],
    periodic: Bool[Tensor, "systems 3"],
    num_atoms: Int[Tensor, " systems"],
    cutoff: float | Float[Tensor, " systems"],
    pair_cutoffs: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Neighbors:
    """All pairs closer than a cutoff, an atom and its own images included.

    Args:
        positions: Å, anywhere: inside the cell or not.
        cells: Lattice vectors as rows, Å. Rows along axes that do not repeat are ignored.
        periodic: Which axes repeat.
        num_atoms: Atoms of each system.
        cutoff: Å, one for all systems or one for each.
        pair_cutoffs: How far two atoms see each other, Å, for the first and the second atom of
            pairs; not farther than `cutoff`. None if that is the same for all.

    Raises:
        InputError: If the repeating vectors of a cell do not span a volume, area or length, or lie
            so densely that the cutoff reaches more than 50,000 images.
    """
    with torch.no_grad():
        positions = positions.detach().double()
        complete = complete_cells(cells.detach().double(), periodic)
        cutoffs = torch.as_tensor(cutoff, dtype=torch.float64, device=cells.device).expand(
            len(cells)
        )
        _refuse_dense(complete, periodic, cutoffs)
        on_gpu = positions.device.type != "cpu" and bool((num_atoms <= _MAX_ATOMS_ON_GPU).all())
        search = search_images if on_gpu else search_cells
        found = Neighbors(*search(positions, complete, periodic, num_atoms, cutoffs * (1 + _SLACK)))
        index = segment_index(num_atoms)
        if pair_cutoffs is None:
            limits = cutoffs[index[found.receivers]]
        else:
            limits = pair_cutoffs(found.receivers, found.senders)
        squares = found.vectors(positions, complete, index).square().sum(-1)
        return _ordered(found.select(squares < limits.square()), len(positions))


def _ordered(found: Neighbors, atoms: int) -> Neighbors:
    """The pairs in their one order."""
    order = _order(found, atoms)
    return Neighbors(*(column.index_select(0, order) for column in _columns(found)))


def _columns(found: Neighbors) -> tuple[Tensor, Tensor, Tensor]:
    return found.receivers, found.senders, found.cell_offsets


def _order(found: Neighbors, atoms: int) -> Tensor:
    """Sorts by receiver, then sender, then cell offset."""
    receivers, senders, offsets = _columns(found)
    if not len(receivers):
        return receivers
    low = offsets.amin(0)
    spans = (offsets.amax(0) - low + 1).tolist()
    if atoms**2 * math.prod(spans) >= 2**62:  # atoms very far outside their cell
        order = torch.arange(len(receivers), device=receivers.device)
        for column in (*offsets.unbind(-1)[::-1], senders, receivers):
            order = order[torch.argsort(column[order], stable=True)]
        return order
    # One sort of one number takes a fifth of the time of five sorts.
    key = receivers * atoms + senders
    for column, span in zip((offsets - low).unbind(-1), spans, strict=True):
        key = key * span + column
    return torch.argsort(key)


def _refuse_dense(cells: Tensor, periodic: Tensor, cutoffs: Tensor) -> None:
    inverse = torch.linalg.inv(cells)
    images = (2 * reached_images(inverse, periodic, cutoffs).double() + 1).prod(-1)
    dense = torch.nonzero(~(images <= _MAX_IMAGES)).flatten()
    if len(dense):
        bad = int(dense[0])
        spacing = float((1 / torch.linalg.vector_norm(inverse[bad], dim=-2)).min())
        raise InputError(
            f"The cell of configuration {bad} repeats every {spacing:.2g} Å, so that "
            f"{cutoffs[bad]:.4g} Å reach more than {_MAX_IMAGES:,} of its images. Check the cell, "
            "or which axes are periodic."
        )


def complete_cells(
    cells: Float[Tensor, "systems 3 3"], periodic: Bool[Tensor, "systems 3"]
) -> Float[Tensor, "systems 3 3"]:
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
