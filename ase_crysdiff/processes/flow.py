"""Flow matching: straight paths from data to the prior, and the velocity along them.

Time runs from 0 = data to 1 = prior as everywhere here, so velocities point away from the data and
a reverse step subtracts them; the papers count time the other way round.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.processes.base import ContinuousProcess, per_row
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Tensor

#: Means and standard deviations of the logarithms of a, b, c (Å) in MP-20. Source: FlowMM, code.
MP20_LOG_LENGTHS = (1.5754, 1.7017, 1.9782), (0.2444, 0.2653, 0.3536)


class Flow(ContinuousProcess):
    """x_t runs along the geodesic from x_0 to a draw from the prior at constant velocity; the
    network predicts that velocity.

    Source: Lipman et al. 2023 for straight paths; Chen & Lipman 2024 for geodesics.
    """

    def corrupt(self, clean: Tensor, t: Tensor, rng: RandomStream) -> tuple[Tensor, Tensor]:
        return self.between(clean, self.prior(rng), t)

    def between(self, clean: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The state at t on the way from the data to noise that is given, and the velocity."""
        velocity = self.displacement(clean, noise)
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


class LatticeParametersFlow(Flow):
    """Straight lines from the six numbers of `LatticeParameters` to lengths whose logarithms are
    normal and angles that are uniform between their limits. Source: Miller et al. 2024 (FlowMM),
    section 4.2 and code.

    Args:
        log_length_mean: Means of the logarithms of a, b, c in Å; by default those of MP-20.
        log_length_scale: Their standard deviations.

    Raises:
        InputError: If there are not three of each, or a deviation is not positive.
    """

    width = 6

    def __init__(
        self,
        log_length_mean: Sequence[float] = MP20_LOG_LENGTHS[0],
        log_length_scale: Sequence[float] = MP20_LOG_LENGTHS[1],
    ) -> None:
        if len(log_length_mean) != 3 or len(log_length_scale) != 3 or min(log_length_scale) <= 0:
            raise InputError(
                "LatticeParametersFlow needs three means and three positive deviations of the "
                f"logarithms of lengths, got {log_length_mean} and {log_length_scale}."
            )
        self.log_length_mean = tuple(float(x) for x in log_length_mean)
        self.log_length_scale = tuple(float(x) for x in log_length_scale)

    def scales(self, t: float) -> tuple[float, float]:
        return 1 - t, t

    def prior(self, rng: RandomStream) -> Float[Tensor, "rows 6"]:
        lengths, angles = rng.normal(6).split(3, -1)
        mean = lengths.new_tensor(self.log_length_mean)
        scale = lengths.new_tensor(self.log_length_scale)
        # The logit of a uniform number, from a normal one: log Φ(z) - log Φ(-z).
        place = torch.special.log_ndtr(angles) - torch.special.log_ndtr(-angles)
        return torch.cat([torch.exp(mean + scale * lengths), place], -1)

    def displacement(self, start: Tensor, end: Tensor) -> Tensor:
        return end - start

    def move(self, value: Tensor, step: Tensor) -> Tensor:
        return value + step


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


def make_lattice_parameters(
    width: int = 6,
    log_length_mean: Sequence[float] = MP20_LOG_LENGTHS[0],
    log_length_scale: Sequence[float] = MP20_LOG_LENGTHS[1],
) -> LatticeParametersFlow:
    """The flow of a config on lengths and angles.

    Args:
        width: Numbers per row; lengths and angles are six.
        log_length_mean: Means of the logarithms of a, b, c in Å.
        log_length_scale: Their standard deviations.

    Raises:
        InputError: If the lattice is written with other numbers, or the statistics make no sense.
    """
    if width != LatticeParametersFlow.width:
        raise InputError(
            "lattice-parameters-flow goes with the lattice representation parameters, which has "
            f"six numbers; this one has {width}."
        )
    return LatticeParametersFlow(log_length_mean, log_length_scale)
