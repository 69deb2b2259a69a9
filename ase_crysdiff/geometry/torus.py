"""The unit torus: wrapping and shortest images of fractional coordinates."""

import math

import torch

from ase_crysdiff.shapes import Float, Tensor


def wrap(frac: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Coordinates moved into [0, 1).

    `x - floor(x)` alone returns 1 for a tiny negative x, because 1 - 1e-9 rounds to 1 in single
    precision.
    """
    wrapped = frac - torch.floor(frac)
    return torch.where(wrapped >= 1, torch.zeros_like(wrapped), wrapped)


def shortest_image(difference: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """The representative of a fractional difference in [-1/2, 1/2], per axis."""
    return difference - torch.round(difference)


def turns(cosine: Float[Tensor, "*rows"], sine: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """The direction of arrows (cosine, sine) of any length, in turns in [0, 1).

    By the tangent of half the angle: the rounding of `torch.atan2` depends on where in memory a row
    lies, and thereby on the batch.
    """
    length = torch.hypot(cosine, sine)
    tangent = torch.where(cosine > 0, sine / (length + cosine), (length - cosine) / sine)
    return wrap(
        torch.atan(torch.nan_to_num(tangent, posinf=torch.inf, neginf=-torch.inf)) / math.pi
    )
