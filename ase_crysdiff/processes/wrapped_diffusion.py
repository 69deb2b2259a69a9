"""Variance-exploding diffusion of fractional coordinates on the torus."""

import torch

from ase_crysdiff.geometry.distributions import wrapped_normal_score
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.processes.base import ContinuousProcess, per_row
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.schedules.noise import Geometric
from ase_crysdiff.shapes import Float, Tensor


class WrappedDiffusion(ContinuousProcess):
    """F_t = wrap(F_0 + σ ε); the network predicts d / √E[d²], d = minus the score of the wrapped
    normal.

    Source: Jiao et al. 2023 (DiffCSP), equations 6-8 and algorithm 2. The published code calls d
    the target, so updates subtract it.

    Args:
        schedule: σ as a function of time, fractional units.
    """

    width = 3

    def __init__(self, schedule: Geometric) -> None:
        self.schedule = schedule

    def scales(self, t: float) -> tuple[float, float]:
        return 1.0, float(self.schedule.sigma(torch.tensor([t], dtype=torch.float64)))

    def blend(self, first: Tensor, second: Tensor, weight: float) -> Tensor:
        return wrap(first + weight * shortest_image(second - first))

    def prior(self, rng: RandomStream) -> Float[Tensor, "rows 3"]:
        return wrap(rng.uniform(3))

    def corrupt(self, clean: Tensor, t: Tensor, rng: RandomStream) -> tuple[Tensor, Tensor]:
        sigma, scale = self._levels(t, clean)
        shift = sigma * rng.normal(3)
        return wrap(clean + shift), wrapped_normal_score(shift, sigma) / scale

    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """Tweedie's estimate F_t - σ² d, the posterior mean as long as σ is well below half a
        cell.
        """
        sigma, scale = self._levels(t, value)
        return wrap(value - sigma**2 * scale * prediction)

    def from_clean(self, value: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        sigma, scale = self._levels(t, value)
        return shortest_image(value - clean) / (sigma**2 * scale)

    def reverse(
        self, value: Tensor, prediction: Tensor, t: Tensor, s: Tensor, rng: RandomStream
    ) -> Tensor:
        sigma, scale = self._levels(t, value)
        sigma_s = per_row(self.schedule.sigma(s), value)
        step = sigma**2 - sigma_s**2
        deviation = sigma_s * step.sqrt() / sigma
        return wrap(value - step * scale * prediction + deviation * rng.normal(3))

    def velocity(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """dF/dσ = σ d of the probability flow. Source: Karras et al. 2022, equation 1."""
        sigma, scale = self._levels(t, value)
        return sigma * scale * prediction

    def ode_step(self, value: Tensor, velocity: Tensor, t: Tensor, s: Tensor) -> Tensor:
        sigma_t, sigma_s = (
            per_row(self.schedule.sigma(t), value),
            per_row(self.schedule.sigma(s), value),
        )
        return wrap(value - (sigma_t - sigma_s) * velocity)

    def correct(
        self, value: Tensor, prediction: Tensor, t: Tensor, size: float, rng: RandomStream
    ) -> Tensor:
        """One Langevin step of size `size` (σ / σ_min)²."""
        sigma, scale = self._levels(t, value)
        step = size * (sigma / self.schedule.smallest) ** 2
        return wrap(value - step * scale * prediction + (2 * step).sqrt() * rng.normal(3))

    def renoise(self, value: Tensor, s: Tensor, t: Tensor, rng: RandomStream) -> Tensor:
        sigma_t, sigma_s = (
            per_row(self.schedule.sigma(t), value),
            per_row(self.schedule.sigma(s), value),
        )
        return wrap(value + (sigma_t**2 - sigma_s**2).sqrt() * rng.normal(3))

    def _levels(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        return per_row(self.schedule.sigma(t), like), per_row(self.schedule.score_scale(t), like)


def make(smallest: float = 0.005, largest: float = 0.5) -> WrappedDiffusion:
    """The process of a config, under the geometric schedule.

    Args:
        smallest: σ near the data, fractional units.
        largest: σ at the prior, fractional units.
    """
    return WrappedDiffusion(Geometric(smallest, largest))
