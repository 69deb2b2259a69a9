"""Linear maps whose rows do not depend on how many other rows there are, and the choice of their
number format.
"""

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.shapes import Float, Tensor

#: Matrix libraries switch to other kernels, with another order of summation, below some number of
#: rows: 4 on an AMD Zen 4, 16 on an Intel Sapphire Rapids (measured, inner dimension up to 1801).
#: Twice that is safe and costs nothing.
_MIN_ROWS = 32


def product(
    x: Float[Tensor, "*rows inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "*rows outputs"]:
    """X Wᵀ + b, equal to the last bit for a row alone and for the same row in a batch."""
    shape = x.shape[:-1]
    rows = x.reshape(-1, x.shape[-1])
    count = len(rows)
    if count >= _MIN_ROWS:
        return functional.linear(rows, weight, bias).unflatten(0, shape)
    padded = torch.cat([rows, rows.new_zeros(_MIN_ROWS - count, rows.shape[-1])])
    return functional.linear(padded, weight, bias)[:count].unflatten(0, shape)


class Linear(nn.Linear):
    """`nn.Linear` on `product`."""

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight, self.bias)
