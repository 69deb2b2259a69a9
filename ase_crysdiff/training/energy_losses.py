"""Losses whose minimiser is the energy that tilts a noisy law: exp(-b E_t(x_t)) = E[exp(-b E_0) |
x_t].

Noise a law p_0 ∝ q_0 exp(-b E_0) with the same kernel as q_0, and its marginal is q_t exp(-b E_t)
up to a constant: the score of the tilted law at any time is that of the sampler minus b ∇E_t. So a
model that guides must learn this E_t. The mean squared error learns the conditional mean of E_0 in
its place, which is never below E_t, the absolute error the median. E_t goes to E_0 at t = 0 and to
a number per composition at t = 1.

Source: DAO (GLAD-RUC 2025), exponential energy loss; Bregman 1967 for losses with the same
minimiser.
"""

import math

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Float, Tensor

#: b (f - E_0) beyond which LINEX goes on as a straight line.
LARGEST = 5.0


def linex(
    difference: Float[Tensor, " crystals"], largest: float = LARGEST
) -> Float[Tensor, " crystals"]:
    """exp(δ) - 1 - δ with δ = b (prediction - label); convex, about δ²/2 near zero, blind to the
    zero of energy.

    It is the Bregman divergence of -log between exp(-b E_0) and exp(-b f), so the conditional mean
    of the former is where it is lowest. Above `largest` it continues as its tangent, so that
    numbers stay finite; the minimiser moves only if such differences remain after training, see
    `clamped_share`.

    Args:
        difference: δ, without unit.
        largest: Where the straight line begins.

    Source: Zellner 1986 for the name; the derivation is in the module's text.
    """
    bent = difference.clamp_max(largest)
    return torch.expm1(bent) - bent + math.expm1(largest) * (difference - bent)


def exp_mse(
    prediction: Float[Tensor, " crystals"], label: Float[Tensor, " crystals"]
) -> Float[Tensor, " crystals"]:
    """(exp(-b f) - exp(-b E_0))², as published; its scale depends on the zero of energy, and it is
    flat where f is far too high.

    Args:
        prediction: b f, without unit.
        label: b E_0, without unit.

    Source: DAO (GLAD-RUC 2025), code, with b = 1/(standard deviation of the labels).
    """
    return (torch.exp(-prediction) - torch.exp(-label)).square()


def clamped_share(
    difference: Float[Tensor, " crystals"], largest: float = LARGEST
) -> Float[Tensor, ""]:
    """Share of differences on the straight part of LINEX. Above a thousandth the minimiser is
    biased.
    """
    return (difference > largest).to(difference.dtype).mean()


def energy_loss(
    name: str, prediction: Float[Tensor, " crystals"], label: Float[Tensor, " crystals"]
) -> Float[Tensor, " crystals"]:
    """The loss of a name, `linex` or `exp-mse`, for b f and b E_0.

    Raises:
        InputError: If there is no such loss.
    """
    if name == "linex":
        return linex(prediction - label)
    if name == "exp-mse":
        return exp_mse(prediction, label)
    raise InputError(f"The energy loss must be 'linex' or 'exp-mse', got {name!r}.")
