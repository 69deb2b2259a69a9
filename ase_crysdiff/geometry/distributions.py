"""The wrapped normal distribution on the circle of circumference 1.

Densities are sums over images; they are evaluated as a softmax over the images, so that no
exponential underflows however small sigma is. Source: Jiao et al. 2023 (DiffCSP), whose sign is
kept: d = -∂ₓ log p is *minus* the score.
"""

from functools import lru_cache

import numpy as np
import torch

from ase_crysdiff.shapes import Float, Tensor

_IMAGES = 10


def wrapped_normal_score(
    x: Float[Tensor, "*#rows"], sigma: Float[Tensor, "*#rows"]
) -> Float[Tensor, "..."]:
    """d(x, σ) = -∂ₓ log p(x | σ) of the wrapped normal, in 1 / fractional units.

    Args:
        x: Displacement in fractional units; periodic with period 1.
        sigma: Noise level in fractional units, > 0, broadcastable to `x`.
    """
    images = torch.arange(-_IMAGES, _IMAGES + 1, device=x.device, dtype=x.dtype)
    shifted = (x - torch.round(x)).unsqueeze(-1) + images
    variance = (sigma**2).unsqueeze(-1)
    weights = torch.softmax(-(shifted**2) / (2 * variance), -1)
    return (weights * shifted / variance).sum(-1)


def wrapped_normal_log_density(
    x: Float[Tensor, "*#rows"], sigma: Float[Tensor, "*#rows"]
) -> Float[Tensor, "..."]:
    """Log p(x | σ) of the wrapped normal, normalised on [0, 1)."""
    images = torch.arange(-_IMAGES, _IMAGES + 1, device=x.device, dtype=x.dtype)
    shifted = (x - torch.round(x)).unsqueeze(-1) + images
    exponent = -(shifted**2) / (2 * (sigma**2).unsqueeze(-1))
    return torch.logsumexp(exponent, -1) - torch.log(sigma) - 0.5 * float(np.log(2 * np.pi))


@lru_cache(maxsize=8)
def mean_squared_slopes(sigmas: tuple[float, ...]) -> Float[Tensor, " levels"]:
    """E[d(x, σ)²] under the wrapped normal itself for each σ, by quadrature in double precision.

    The published codes estimate this number by Monte Carlo and store it in the checkpoint; it is a
    smooth periodic integral, for which the rectangle rule converges exponentially.
    """
    sigma = torch.tensor(sigmas, dtype=torch.float64)
    # The integrand has width sigma: integrate over +-12 sigma at most, else over the whole circle.
    half_width = torch.clamp(12 * sigma, max=0.5).unsqueeze(-1)
    points = 256
    x = (torch.arange(points, dtype=torch.float64) + 0.5) / points * 2 - 1
    x = x * half_width
    score = wrapped_normal_score(x, sigma.unsqueeze(-1))
    density = torch.exp(wrapped_normal_log_density(x, sigma.unsqueeze(-1)))
    return (score**2 * density).mean(-1) * 2 * half_width.squeeze(-1)
