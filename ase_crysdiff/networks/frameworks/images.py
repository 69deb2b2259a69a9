"""The nearest periodic images of blocks around each block."""

from dataclasses import dataclass

import torch

from ase_crysdiff.geometry.lattice import NEIGHBOUR_CELLS
from ase_crysdiff.geometry.segments import segment_index, segment_places, segment_starts
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.shapes import Bool, Float, Int, Tensor


@dataclass(frozen=True)
class Images:
    """Images of blocks around each block, as many for each.

    Args:
        senders: The block whose image it is, shape (bodies, count).
        vectors: From the block's centre to the image's, Å, shape (bodies, count, 3).
        there: False where a crystal has fewer images than are wanted.
        itself: Whether it is an image of the block itself.
    """

    senders: Int[Tensor, "bodies count"]
    vectors: Float[Tensor, "bodies count 3"]
    there: Bool[Tensor, "bodies count"]
    itself: Bool[Tensor, "bodies count"]


def nearest_images(
    centres: Float[Tensor, "bodies 3"],
    lattice: Float[Tensor, "crystals 3 3"],
    num_blocks: Int[Tensor, " crystals"],
    count: int,
) -> Images:
    """The nearest images of blocks among the 27 cells around the shortest difference.

    Args:
        centres: Fractional coordinates.
        lattice: Rows in Å, near enough to Niggli cells.
        num_blocks: Blocks of each crystal.
        count: How many images each block sees at most.
    """
    owner, most = segment_index(num_blocks), int(num_blocks.max())
    slots = torch.arange(most, device=centres.device)
    there = slots < num_blocks[owner].unsqueeze(-1)
    partners = (segment_starts(num_blocks)[owner].unsqueeze(-1) + slots).clamp_max(len(centres) - 1)
    difference = shortest_image(centres[partners] - centres.unsqueeze(1))
    shifts = NEIGHBOUR_CELLS.to(centres.device, centres.dtype)
    # Sums of few products along long rows: small matrix products of one crystal take another path.
    rows = lattice[owner]
    home_vectors = (difference.unsqueeze(-1) * rows.unsqueeze(1)).sum(-2)
    shift_vectors = (shifts.unsqueeze(-1) * rows.unsqueeze(1)).sum(-2)
    squares = sum(
        (home_vectors[..., k].unsqueeze(2) + shift_vectors[..., k].unsqueeze(1)).square()
        for k in range(3)
    )
    assert isinstance(squares, Tensor)
    own = slots == segment_places(num_blocks).unsqueeze(-1)
    home = own.unsqueeze(-1) & (shifts == 0).all(-1)
    squares = squares.masked_fill(home | ~there.unsqueeze(-1), torch.inf).flatten(1)
    count = min(count, squares.shape[1])
    nearest = torch.topk(squares, count, largest=False, sorted=True)
    block, shift = nearest.indices // len(shifts), nearest.indices % len(shifts)
    row = torch.arange(len(centres), device=centres.device).unsqueeze(-1)
    chosen = home_vectors[row, block] + shift_vectors[row, shift]
    senders = partners[row, block]
    real = nearest.values.isfinite()
    return Images(senders, chosen.masked_fill(~real.unsqueeze(-1), 0.0), real, senders == row)
