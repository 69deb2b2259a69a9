"""Flow matching: straight paths from data to the prior, and the velocity along them.

Time runs from 0 = data to 1 = prior as everywhere here, so velocities point away from the data and
a reverse step subtracts them; the papers count time the other way round.
"""

import math
from abc import abstractmethod

from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.processes.base import ContinuousProcess, per_row
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Tensor


class Flow(ContinuousProcess):
    """x_t runs along the geodesic from x_0 to a draw from the prior at constant velocity; the
    network predicts that velocity.

    Source: Lipman et al. 2023 for straight paths; Chen & Lipman 2024 for geodesics.
    """

    def corrupt(self, clean: Tensor, t: Tensor, rng: RandomStream) -> tuple[Tensor, Tensor]:
        velocity = self.displacement(clean, self.prior(rng))
        return self.move(clean, per_row(t, clean) * velocity), velocity

    def reverse(
        self, value: Tensor, prediction: Tensor, t: Tensor, s: Tensor, rng: RandomStream
    ) -> Tensor:
        return self.ode_step(value, prediction, t, s)

    def velocity(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        return prediction

    def ode_step(self, value: Tensor, velocity: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return self.move(value, -per_row(t - s, value) * velocity)

    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        return self.move(value, -per_row(t, value) * prediction)

    def from_clean(self, value: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        return self.displacement(clean, value) / per_row(t, value)

    def renoise(self, value: Tensor, s: Tensor, t: Tensor, rng: RandomStream) -> Tensor:
        """A way toward a new draw from the prior. A flow has no forward kernel; this keeps the
        share of the data at t right.
        """
        share = per_row((t - s) / (1 - s), value)
        return self.move(value, share * self.displacement(value, self.prior(rng)))

    @abstractmethod
    def displacement(self, start: Tensor, end: Tensor) -> Tensor:
        """The tangent at `start` that leads to `end` in unit time."""

    @abstractmethod
    def move(self, value: Tensor, step: Tensor) -> Tensor:
        """The point that a tangent leads to."""


class LinearFlow(Flow):
    """Straight lines to the unit normal.

    Args:
        width: Numbers per row.
    """

    def __init__(self, width: int) -> None:
        self.width = width

    def scales(self, t: float) -> tuple[float, float]:
        return 1 - t, t

    def prior(self, rng: RandomStream) -> Float[Tensor, "rows width"]:
        return rng.normal(self.width)

    def displacement(self, start: Tensor, end: Tensor) -> Tensor:
        return end - start

    def move(self, value: Tensor, step: Tensor) -> Tensor:
        return value + step

    def renoise(self, value: Tensor, s: Tensor, t: Tensor, rng: RandomStream) -> Tensor:
        """The Gaussian kernel that keeps every marginal of the path."""
        kept = per_row((1 - t) / (1 - s), value)
        variance = per_row(t, value) ** 2 - (kept * per_row(s, value)) ** 2
        return kept * value + variance.sqrt() * rng.normal(self.width)


class TorusFlow(Flow):
    """Shortest ways on the unit torus to uniform noise. Source: Miller et al. 2024 (FlowMM),
    section 4.
    """

    width = 3

    def scales(self, t: float) -> tuple[float, float]:
        """Noise t/√12 per axis: t times a displacement that is uniform in the cell."""
        return 1.0, t / math.sqrt(12)

    def blend(self, first: Tensor, second: Tensor, weight: float) -> Tensor:
        return self.move(first, weight * self.displacement(first, second))

    def prior(self, rng: RandomStream) -> Float[Tensor, "rows 3"]:
        return wrap(rng.uniform(3))

    def displacement(self, start: Tensor, end: Tensor) -> Tensor:
        return shortest_image(end - start)

    def move(self, value: Tensor, step: Tensor) -> Tensor:
        return wrap(value + step)


def make_linear(width: int = 6) -> LinearFlow:
    """The flow of a config on plain numbers.

    Args:
        width: Numbers per row.
    """
    return LinearFlow(width)
