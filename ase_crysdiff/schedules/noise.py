"""Noise levels as functions of time: t = 0 is data, t = 1 is the prior.

The published schedules are tables over the steps k = 0 … 1000; times are looked up at k =
round(1000 t), so every plan must put its times on that grid.
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property

import torch

from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.geometry.distributions import mean_squared_slopes
from ase_crysdiff.shapes import Float, Tensor


class Tables:
    """Double precision tables over the steps, copied once to each device and dtype that asks."""

    @cached_property
    def _copies(self) -> dict[tuple[str, torch.device, torch.dtype], Tensor]:
        return {}

    def lookup(self, name: str, t: Tensor) -> Tensor:
        key = (name, t.device, t.dtype)
        if key not in self._copies:
            self._copies[key] = getattr(self, name).to(device=t.device, dtype=t.dtype)
        return self._copies[key][torch.round(t * TRAINED_STEPS).long()]


class VariancePreserving(Tables, ABC):
    """x_t = √ᾱ x_0 + √(1 - ᾱ) ε."""

    @property
    @abstractmethod
    def signal_power(self) -> Float[Tensor, " steps"]:
        """ᾱ for k = 0 … 1000, ᾱ_0 = 1."""

    @cached_property
    def noise_power(self) -> Float[Tensor, " steps"]:
        return 1 - self.signal_power

    def scales(
        self, t: Float[Tensor, " rows"]
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
        """Factors of signal and noise at t. Both come from double precision: 1 - ᾱ of a float is
        useless near t = 0.
        """
        return self.lookup("signal_power", t).sqrt(), self.lookup("noise_power", t).sqrt()


class Cosine(VariancePreserving):
    """Squared cosine with clipped increments.

    ᾱ is the product of the *clipped* factors, so that it stays positive at t = 1.
    Source: Nichol & Dhariwal 2021, as used by DiffCSP, MiAD and DAO.
    """

    @cached_property
    def signal_power(self) -> Float[Tensor, " steps"]:
        offset = 0.008
        k = torch.arange(TRAINED_STEPS + 1, dtype=torch.float64)
        curve = torch.cos((k / TRAINED_STEPS + offset) / (1 + offset) * math.pi / 2) ** 2
        beta = (1 - curve[1:] / curve[:-1]).clamp(1e-4, 0.9999)
        return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - beta, 0)])


class Geometric(Tables):
    """σ_k = σ_min (σ_max / σ_min)^((k - 1) / 999), σ_0 = 0, in fractional units. Source: DiffCSP.

    Args:
        smallest: σ at k = 1.
        largest: σ at k = 1000.
    """

    def __init__(self, smallest: float = 0.005, largest: float = 0.5) -> None:
        self.smallest = smallest
        self.largest = largest

    @cached_property
    def levels(self) -> Float[Tensor, " steps"]:
        k = torch.arange(TRAINED_STEPS, dtype=torch.float64) / (TRAINED_STEPS - 1)
        levels = torch.exp(math.log(self.smallest) + k * math.log(self.largest / self.smallest))
        return torch.cat([torch.zeros(1, dtype=torch.float64), levels])

    @cached_property
    def score_scales(self) -> Float[Tensor, " steps"]:
        """Root mean square of the wrapped normal's score; infinite at k = 0, where there is no
        noise.
        """
        norms = mean_squared_slopes(tuple(self.levels[1:].tolist()))
        return torch.cat([torch.full((1,), torch.inf, dtype=torch.float64), norms.sqrt()])

    def sigma(self, t: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        return self.lookup("levels", t)

    def score_scale(self, t: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        return self.lookup("score_scales", t)


class CosineSurvival(Tables):
    """Probability ā that a discrete state has not been redrawn: a cosine, not squared, over T + 1
    steps, unclipped.

    Source: Okhotin et al. 2025 (MiAD), code.
    """

    @cached_property
    def survivals(self) -> Float[Tensor, " steps"]:
        offset = 0.008
        k = torch.arange(TRAINED_STEPS + 1, dtype=torch.float64)
        curve = torch.cos((k / (TRAINED_STEPS + 1) + offset) / (1 + offset) * math.pi / 2)
        return curve / curve[0]

    def survival(self, t: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        return self.lookup("survivals", t)
