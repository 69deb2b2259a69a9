"""Variance-preserving Gaussian diffusion."""

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.processes.base import ContinuousProcess, per_row
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.schedules.noise import Cosine, VariancePreserving
from ase_crysdiff.shapes import Float, Tensor


class GaussianDiffusion(ContinuousProcess):
    """x_t = √ᾱ x_0 + √(1 - ᾱ) ε, reversed with the exact posterior between any two times.

    Source: Ho et al. 2020, equations 6-7, for the kernels; Salimans & Ho 2022, section 4, for the
    velocity v = √ᾱ ε - √(1 - ᾱ) x_0, whose clean estimate has no division by √ᾱ and therefore stays
    sound at t = 1.

    Args:
        width: Numbers per row.
        schedule: Signal and noise as functions of time.
        target: What the network predicts, `noise` (the published choice) or `velocity`.
    """

    def __init__(self, width: int, schedule: VariancePreserving, target: str = "noise") -> None:
        if target not in ("noise", "velocity"):
            raise InputError(f"target must be 'noise' or 'velocity', got {target!r}.")
        self.width = width
        self.schedule = schedule
        self.target = target

    def scales(self, t: float) -> tuple[float, float]:
        signal, noise = self.schedule.scales(torch.tensor([t], dtype=torch.float64))
        return float(signal), float(noise)

    def prior(self, rng: RandomStream) -> Float[Tensor, "rows width"]:
        return rng.normal(self.width)

    def corrupt(self, clean: Tensor, t: Tensor, rng: RandomStream) -> tuple[Tensor, Tensor]:
        noise = rng.normal(self.width)
        signal, spread = self._scales(t, clean)
        target = noise if self.target == "noise" else signal * noise - spread * clean
        return signal * clean + spread * noise, target

    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        signal, spread = self._scales(t, value)
        if self.target == "noise":
            return (value - spread * prediction) / signal
        return signal * value - spread * prediction

    def from_clean(self, value: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        signal, spread = self._scales(t, value)
        noise = (value - signal * clean) / spread
        return noise if self.target == "noise" else signal * noise - spread * clean

    def reverse(
        self, value: Tensor, prediction: Tensor, t: Tensor, s: Tensor, rng: RandomStream
    ) -> Tensor:
        (signal_t, spread_t), (signal_s, spread_s) = self._scales(t, value), self._scales(s, value)
        kept = (signal_t / signal_s) ** 2  # share of the signal power at s that is left at t
        if self.target == "noise":
            # Written with the noise, not the clean estimate, which at t = 1 would be divided by √ᾱ
            # = 1.6e-5.
            mean = (value - (1 - kept) / spread_t * prediction) / kept.sqrt()
        else:
            clean = self.clean(value, prediction, t)
            mean = (signal_s * (1 - kept) * clean + kept.sqrt() * spread_s**2 * value) / spread_t**2
        deviation = (1 - kept).sqrt() * spread_s / spread_t
        return mean + deviation * rng.normal(self.width)

    def velocity(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The estimated noise ε: dy/dρ for y = x/√ᾱ and ρ = √((1 - ᾱ)/ᾱ). Source: Song et al. 2021
        (DDIM), equation 14.
        """
        if self.target == "noise":
            return prediction
        signal, spread = self._scales(t, value)
        return spread * value + signal * prediction

    def ode_step(self, value: Tensor, velocity: Tensor, t: Tensor, s: Tensor) -> Tensor:
        (signal_t, spread_t), (signal_s, spread_s) = self._scales(t, value), self._scales(s, value)
        return signal_s / signal_t * (value - spread_t * velocity) + spread_s * velocity

    def renoise(self, value: Tensor, s: Tensor, t: Tensor, rng: RandomStream) -> Tensor:
        ratio = self._scales(t, value)[0] / self._scales(s, value)[0]
        return ratio * value + torch.sqrt(1 - ratio**2) * rng.normal(self.width)

    def _scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        signal, spread = self.schedule.scales(t)
        return per_row(signal, like), per_row(spread, like)


def make(width: int = 6, target: str = "noise") -> GaussianDiffusion:
    """The process of a config, under the cosine schedule.

    Args:
        width: Numbers per row.
        target: What the network predicts, `noise` or `velocity`.
    """
    return GaussianDiffusion(width, Cosine(), target)
