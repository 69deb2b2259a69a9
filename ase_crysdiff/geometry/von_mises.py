"""The von Mises distribution: what is believed of an angle.

Ratios of Bessel functions come from the exponentially scaled ones, since I_0 overflows where
concentrations reach a thousand.
"""

import math

import torch

from ase_crysdiff.shapes import Float, Tensor

#: Entropy of an angle of which nothing is known, nats.
UNIFORM_ENTROPY = math.log(2 * math.pi)


def mean_resultant(concentration: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """E[cos(x - m)] = I_1(c) / I_0(c)."""
    return torch.special.i1e(concentration) / torch.special.i0e(concentration)


def entropy(concentration: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """ln(2π I_0(c)) - c I_1(c) / I_0(c), nats: ln 2π at c = 0, ½ ln(2πe / c) for large c."""
    i0, i1 = torch.special.i0e(concentration), torch.special.i1e(concentration)
    return UNIFORM_ENTROPY + i0.log() + concentration * (i0 - i1) / i0


def updated(
    mean: Float[Tensor, "*rows"],
    concentration: Float[Tensor, "*rows"],
    observation: Float[Tensor, "*rows"],
    accuracy: Float[Tensor, "*rows"],
) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows"]]:
    """Bayes' rule: the belief after one observation that is von Mises distributed about the angle.

    Concentrations add as arrows do, so they grow by less than the accuracy, and by how much depends
    on the observation.

    Args:
        mean: Of the belief, radians.
        concentration: Of the belief.
        observation: Radians.
        accuracy: Concentration of the observation about the angle.

    Returns:
        Mean, radians in [-π, π], and concentration.

    Source: Wu et al. 2025 (CrysBFN), the update of circular beliefs.
    """
    cosine = accuracy * observation.cos() + concentration * mean.cos()
    sine = accuracy * observation.sin() + concentration * mean.sin()
    return torch.atan2(sine, cosine), torch.hypot(sine, cosine)
