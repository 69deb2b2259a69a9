"""Rows of several systems in one tensor, one system after the other: where each begins and
which rows it has.

`counts` is the number of rows of each system, zeros allowed; `index` names the system of each row.
"""

import torch

from ase_crysdiff.shapes import Int, Tensor


def segment_starts(counts: Int[Tensor, " systems"]) -> Int[Tensor, " systems"]:
    """Row at which each system begins.

    >>> segment_starts(torch.tensor([2, 0, 3]))
    tensor([0, 2, 2])
    """
    return counts.cumsum(0) - counts


def segment_index(counts: Int[Tensor, " systems"]) -> Int[Tensor, " rows"]:
    """System of each row.

    >>> segment_index(torch.tensor([2, 0, 3]))
    tensor([0, 0, 2, 2, 2])
    """
    return torch.arange(len(counts), device=counts.device).repeat_interleave(counts)


def segment_places(counts: Int[Tensor, " systems"]) -> Int[Tensor, " rows"]:
    """Place of each row within its system, from 0.

    >>> segment_places(torch.tensor([2, 0, 3]))
    tensor([0, 1, 0, 1, 2])
    """
    starts = segment_starts(counts).repeat_interleave(counts)
    return torch.arange(len(starts), device=counts.device) - starts


def segment_rows(
    counts: Int[Tensor, " systems"], chosen: Int[Tensor, " chosen"]
) -> Int[Tensor, " rows"]:
    """Rows of the chosen systems, one system after the other in the order of `chosen`.

    >>> segment_rows(torch.tensor([2, 1, 3]), torch.tensor([2, 0]))
    tensor([3, 4, 5, 0, 1])
    """
    taken = counts[chosen]
    return segment_starts(counts)[chosen].repeat_interleave(taken) + segment_places(taken)
