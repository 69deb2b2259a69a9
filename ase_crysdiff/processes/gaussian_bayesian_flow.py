"""Gaussian Bayesian flow of real numbers."""

import math

import torch

from ase_crysdiff.processes.base import per_row
from ase_crysdiff.processes.bayesian_flow import BayesianFlow
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.schedules.accuracy import GeometricAccuracy
from ase_crysdiff.shapes import Float, Tensor


class GaussianBayesianFlow(BayesianFlow[Tensor]):
    """The state is the mean μ of a belief N(μ, 1 / (1 + A)) that began as the unit normal.

    Given a datum, μ ~ N(γ x, γ (1 - γ)) with γ = A / (1 + A). The accuracy is the same for all
    rows at one time, so the time tells it.

    The network predicts how far the datum lies from the mean, in standard deviations of the belief:
    x = μ + r / √(1 + A). Then the loss weighs all times alike, and a small network need not repeat
    its input to three digits, as one that predicts x has to.

    Args:
        width: Numbers per row, standardised.
        schedule: Accuracy A as a function of time.

    Source: Graves et al. 2023, section 4; the target is ours.
    """

    def __init__(self, width: int, schedule: GeometricAccuracy) -> None:
        super().__init__(schedule, width)
        self.width = width

    def scales(self, t: float) -> tuple[float, float]:
        if t == 0:
            return 1.0, 0.0
        accuracy = float(self.schedule.at(torch.tensor([t], dtype=torch.float64)))
        return accuracy / (1 + accuracy), math.sqrt(accuracy) / (1 + accuracy)

    def prior(self, rng: RandomStream) -> Float[Tensor, "rows width"]:
        return torch.zeros_like(rng.normal(self.width))

    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        return value + prediction * self._deviation(t, value)

    def from_clean(self, value: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        return (clean - value) / self._deviation(t, value)

    def loss(
        self, prediction: Tensor, target: Tensor, value: Tensor, t: Tensor
    ) -> Float[Tensor, " rows"]:
        error = (prediction - target) * self._deviation(t, value)
        return self.surprise(t, (error**2).mean(-1))

    def image(self, clean: Tensor) -> Tensor:
        return clean

    def belief(self, unit: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        accuracy = self._accuracy(t)
        mean = unit * accuracy.sqrt() / (1 + accuracy)
        return torch.where(per_row(t, mean) == 0, clean.to(mean), mean)

    def evidence(self, state: Tensor, t: Tensor) -> Tensor:
        return state * (1 + self._accuracy(t))

    def _deviation(self, t: Tensor, like: Tensor) -> Tensor:
        """Standard deviation of the belief."""
        return per_row(torch.rsqrt(1 + self.schedule.at(t)), like)


def make(width: int = 6, smallest: float = math.sqrt(1e-3)) -> GaussianBayesianFlow:
    """The process of a config.

    Args:
        width: Numbers per row.
        smallest: Standard deviation of the belief at the data.
    """
    return GaussianBayesianFlow(width, GeometricAccuracy(smallest))
