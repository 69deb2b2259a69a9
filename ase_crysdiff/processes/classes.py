"""What processes on a finite set of classes share."""

import torch
from torch.nn import functional

from ase_crysdiff.shapes import Float, Int, Tensor


def pick(
    probabilities: Float[Tensor, "rows width"], uniform: Float[Tensor, "rows 1"]
) -> Int[Tensor, " rows"]:
    """A class per row by inversion of the cumulative sum: one random number a row, whatever the
    number of classes.
    """
    cumulative = probabilities.cumsum(-1)
    picked = (uniform * cumulative[:, -1:] >= cumulative).sum(-1)
    # Rounding may land one past the end, or on a class of probability 0 there.
    last = probabilities.shape[-1] - 1 - (probabilities > 0).flip(-1).int().argmax(-1)
    return torch.minimum(picked, last)


def log_probabilities(clean: Tensor, width: int, like: Tensor) -> Float[Tensor, "rows width"]:
    """Logarithms of probabilities as they are; a class index is taken as certain.

    Args:
        clean: Either of them.
        width: Number of classes.
        like: Has the number format.
    """
    if clean.is_floating_point():
        return clean
    certain = functional.one_hot(clean, width).to(like.dtype)
    return torch.log(certain.clamp_min(torch.finfo(certain.dtype).tiny))


def product_of_powers(
    first: Float[Tensor, "rows width"], second: Float[Tensor, "rows width"], weight: float
) -> Float[Tensor, "rows width"]:
    """Logarithms of p^(1 - weight) q^weight; what is impossible in one of them stays impossible."""
    impossible = torch.isneginf(first) | torch.isneginf(second)
    return (first + weight * (second - first)).masked_fill(impossible, -torch.inf)
