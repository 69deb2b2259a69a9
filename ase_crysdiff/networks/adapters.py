"""Adapters: a few trainable numbers beside the frozen ones, so that one encoder serves many
properties.

Source: Hu et al. 2022 (LoRA), equation 3: the matrix W becomes W + s B A with A and B of low rank
and B = 0 at the start.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.utils import parametrize

from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Float, Tensor

_WEIGHT = "weight"
#: How torch names what a changed matrix is made of, in place of the matrix.
_PARTS = f"parametrizations.{_WEIGHT}.0."


class LowRank(nn.Module):
    """The correction of one matrix. Who reads the matrix sees it corrected, also where columns are
    read by themselves.

    Args:
        weight: The matrix, shape (outputs, inputs).
        rank: Of the correction.
        scale: Factor of the correction; 0 leaves the matrix as it was.
    """

    def __init__(self, weight: Float[Tensor, "outputs inputs"], rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Parameter(weight.new_empty(rank, weight.shape[1]))
        self.up = nn.Parameter(weight.new_zeros(weight.shape[0], rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, weight: Float[Tensor, "outputs inputs"]) -> Float[Tensor, "outputs inputs"]:
        """The corrected matrix."""
        return weight + self.scale * self.up @ self.down


def attach(network: nn.Module, rank: int, scale: float = 1.0) -> None:
    """Freezes a network and gives an adapter to each of its linear maps, in place.

    Args:
        network: Such as a backbone.
        rank: Of the corrections; maps that are not wider than that stay without.
        scale: Factor of the corrections.

    Raises:
        InputError: If the rank is not positive or the network has no linear map that wide.
    """
    if rank < 1:
        raise InputError(f"The rank of an adapter is at least 1, not {rank}.")
    network.requires_grad_(False)
    wide = [m for m in network.modules() if isinstance(m, nn.Linear) and min(m.weight.shape) > rank]
    if not wide:
        raise InputError(
            f"{type(network).__name__} has no linear map wider than {rank}; give a lower rank."
        )
    for linear in wide:
        parametrize.register_parametrization(
            linear, _WEIGHT, LowRank(linear.weight.detach(), rank, scale)
        )


def merge(network: nn.Module) -> None:
    """Adds every adapter to its matrix, in place. The network is as fast as without, and parameters
    have their old names.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module, _WEIGHT):
            with torch.no_grad():
                parametrize.remove_parametrizations(module, _WEIGHT, leave_parametrized=True)


def adapter_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a network's tensors that belong to adapters."""
    return {name: tensor for name, tensor in tensors.items() if _PARTS in name}
