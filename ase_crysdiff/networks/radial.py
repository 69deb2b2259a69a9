"""Functions of distance and direction that edges are made of; all smooth, the envelope also at the
cutoff.
"""

import math
from typing import Any

import torch

from ase_crysdiff.shapes import Float, Tensor

_ROOT = math.sqrt(3.0)
#: xy, yz, zx, x² - y² and z² from the nine products of components: one small product instead of a
#: dozen operations.
_QUADRUPOLE = (
    (0.0, _ROOT, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, _ROOT, 0.0, 0.0, 0.0),
    (0.0, 0.0, _ROOT, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (_ROOT / 2, 0.0, 0.0, 0.0, -_ROOT / 2, 0.0, 0.0, 0.0, 0.0),
    (-0.5, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0, 0.0, 1.0),
)
_CENTRES = (1.0, 1.3, 0.7, 1.6, 0.4, 1.9, 0.1, 2.2)
_WIDTH = 0.2


def envelope(x: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
    """A polynomial that falls from 1 at 0 to 0 at 1, where its first two derivatives vanish, too.

    Args:
        x: Distance over cutoff; larger than 1 counts as 1.

    Source: Gasteiger et al. 2020 (DimeNet), equation 8 with p = 5, factored so that it is exactly 0
    at 1.
    """
    return _Envelope.apply(x.clamp(max=1.0))


class _Envelope(torch.autograd.Function):
    """The polynomial with its derivative in closed form, -105 x⁴ (1 - x)²: a fifth of the
    operations that its Horner form leaves behind. Differentiable twice.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (1 - x) ** 3 * (1 + x * (3 + x * (6 + x * (10 + x * 15))))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (-105 * (x.square() * (1 - x)).square())


def bessel(x: Float[Tensor, " edges"], count: int) -> Float[Tensor, "count edges"]:
    """Spherical Bessel functions sin(nπx) / 2x for n = 1 … count; without a cutoff, which the
    attention weights bring.

    Args:
        x: Distance over cutoff, > 0.
        count: How many functions.

    Returns:
        One row per function: operations then run along the edges, several times faster than along
        a handful of functions.

    Source: Gasteiger et al. 2020 (DimeNet), equation 7, up to a factor.
    """
    n = torch.arange(1, count + 1, device=x.device, dtype=x.dtype) * math.pi
    return torch.sin(n.unsqueeze(-1) * x) / (2 * x)


def gaussian_basis(x: Float[Tensor, " edges"], count: int) -> Float[Tensor, "count edges"]:
    """Gaussians of a distance over the sum of two atoms' covalent radii, in the order of their use.

    The first lies at the bond length, so that few of them already tell a bond from a contact,
    whatever the elements.

    Args:
        x: Distance over the sum of the covalent radii.
        count: How many functions, at most 8.

    Returns:
        One row per function.
    """
    centres = torch.tensor(_CENTRES[:count], device=x.device, dtype=x.dtype)
    return torch.exp((x - centres.unsqueeze(-1)).square() * (-1 / (2 * _WIDTH**2)))


def gaussians(
    x: Float[Tensor, " edges"], start: float, stop: float, count: int
) -> Float[Tensor, "edges count"]:
    """exp(-(x - c)² / Δ) for centres c from start to stop at a spacing Δ.

    The spacing itself divides, not its square, so that neighbouring functions overlap widely.

    Args:
        x: A number per edge, such as its length in Å.
        start: First centre, in the unit of `x`.
        stop: Last centre.
        count: How many centres, at least 2.

    Source: Yan et al. 2022 (Matformer), code, and all that build on it.
    """
    centres = torch.linspace(start, stop, count, device=x.device, dtype=x.dtype)
    return torch.exp(-((x.unsqueeze(-1) - centres) ** 2) * ((count - 1) / (stop - start)))


def quadrupole(vectors: Float[Tensor, "*rows 3 channels"]) -> Float[Tensor, "*rows 5 channels"]:
    """The five real solid harmonics of degree 2, scaled so that their squares add up to the fourth
    power of the length.
    """
    products = (vectors.unsqueeze(-2) * vectors.unsqueeze(-3)).flatten(-3, -2)
    return torch.tensor(_QUADRUPOLE, device=vectors.device, dtype=vectors.dtype) @ products
