"""What an optimiser is: it sees rows and forces of a batch, and never one system through
another.
"""

from abc import ABC, abstractmethod

import torch

from ase_crysdiff.shapes import Float, Int, Tensor

#: The longest way that a row may go in one step, Å; ASE's default.
MAX_STEP = 0.2


class Optimizer(ABC):
    """Steps for a batch of systems, with a memory of each.

    A method keeps tensors with one entry per system, so that systems may leave and others may come.
    Padded rows have zero force and take no step.
    """

    @abstractmethod
    def rebatch(self, kept: Int[Tensor, " kept"], added: int, num_rows: int) -> None:
        """The batch is now those systems of the old one, in this order, then new ones without
        memory, of so many rows each.
        """

    @abstractmethod
    def step(
        self, rows: Float[Tensor, "systems rows 3"], forces: Float[Tensor, "systems rows 3"]
    ) -> Float[Tensor, "systems rows 3"]:
        """Where to go from here, Å; forces (eV/Å) are finite."""


def regrouped(
    values: Tensor,
    kept: Int[Tensor, " kept"],
    added: int,
    num_rows: int | None = None,
    fill: float = 0.0,
) -> Tensor:
    """Some entries of a tensor, then new ones; with `num_rows` the second axis is cut or padded
    with zeros.

    Args:
        values: One entry per system; with `num_rows` one row per row of the system, too.
        kept: Entries to keep, in their new order.
        added: New entries.
        num_rows: Length of the second axis; None leaves it.
        fill: What new entries hold.
    """
    found = values[kept]
    if num_rows is not None and found.shape[1] != num_rows:
        found = found[:, :num_rows]
        missing = found.new_zeros(len(found), num_rows - found.shape[1], *found.shape[2:])
        found = torch.cat([found, missing], 1)
    return torch.cat([found, found.new_full((added, *found.shape[1:]), fill)]) if added else found


def dot(
    a: Float[Tensor, "systems rows 3"], b: Float[Tensor, "systems rows 3"]
) -> Float[Tensor, "systems 1 1"]:
    """One scalar product per system."""
    return (a * b).sum((1, 2), keepdim=True)
