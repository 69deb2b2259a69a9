"""Periodic Bayesian flow of fractional coordinates on the torus."""

import math

import torch

from ase_crysdiff.geometry.torus import shortest_image, turns, wrap
from ase_crysdiff.processes.base import ComponentState, per_row
from ase_crysdiff.processes.bayesian_flow import BayesianFlow
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.schedules.accuracy import LinearEntropy
from ase_crysdiff.shapes import Float, Tensor

#: Name of the auxiliary: how sharp the belief about each coordinate is.
CONCENTRATION = "concentration"


class PeriodicBayesianFlow(BayesianFlow[ComponentState]):
    """The state is a von Mises belief about each coordinate: its mean, in turns, as the value, and
    its concentration as an auxiliary.

    Evidence is an arrow for each coordinate, w ~ N(A (cos x, sin x), A); the belief has its
    direction as mean and its length as concentration. Arrows that point apart cancel: unlike
    accuracies, concentrations do not add, and at one time they differ from row to row. So the
    network has to be told them (`networks.stems.BeliefStem`).

    The network predicts the way from the mean to the datum, in units of the spread that means have
    about their data at that time. Where the estimate is several places at once, their circular mean
    has the smallest loss.

    Args:
        schedule: Accuracy A as a function of time.

    Source: Wu et al. 2025 (CrysBFN), in the limit of many observations; the unit of the target is
    ours.
    """

    width = 3

    def __init__(self, schedule: LinearEntropy) -> None:
        super().__init__(schedule, 2 * self.width)
        self.schedule: LinearEntropy = schedule

    def scales(self, t: float) -> tuple[float, float]:
        """Standard deviation of the belief's mean about the datum, in turns."""
        if t == 0:
            return 1.0, 0.0
        return 1.0, float(self.schedule.spread(torch.tensor([t], dtype=torch.float64)))

    def blend(self, first: Tensor, second: Tensor, weight: float) -> Tensor:
        return wrap(first + weight * shortest_image(second - first))

    def prior(self, rng: RandomStream) -> ComponentState:
        """Nothing is believed; the means are uniform."""
        mean = wrap(rng.uniform(3))
        return ComponentState(mean, {CONCENTRATION: torch.zeros_like(mean)})

    def clean(self, value: ComponentState, prediction: Tensor, t: Tensor) -> Tensor:
        return wrap(value.value + prediction * self._unit(t, prediction))

    def from_clean(self, value: ComponentState, clean: Tensor, t: Tensor) -> Tensor:
        return shortest_image(clean - value.value) / self._unit(t, clean)

    def loss(
        self, prediction: Tensor, target: Tensor, value: ComponentState, t: Tensor
    ) -> Float[Tensor, " rows"]:
        angle = 2 * math.pi * (prediction - target) * self._unit(t, prediction)
        # 2 (1 - cos), which is nothing but rounding where angles are small.
        return self.surprise(t, (4 * torch.sin(angle / 2) ** 2).mean(-1))

    def image(self, clean: Tensor) -> Float[Tensor, "rows 6"]:
        angle = 2 * math.pi * clean
        return torch.cat([angle.cos(), angle.sin()], -1)

    def belief(self, unit: Tensor, clean: Tensor, t: Tensor) -> ComponentState:
        cosine, sine = unit.chunk(2, -1)
        mean = turns(cosine, sine)
        length = torch.hypot(sine, cosine) * self._accuracy(t).sqrt()
        value = torch.where(per_row(t, mean) == 0, clean.to(mean), mean)
        return ComponentState(value, {CONCENTRATION: length})

    def evidence(self, state: ComponentState, t: Tensor) -> Tensor:
        length = state.auxiliaries[CONCENTRATION]
        return self.image(state.value) * torch.cat([length, length], -1)

    def _unit(self, t: Tensor, like: Tensor) -> Tensor:
        return per_row(self.schedule.spread(t), like)


def make(largest: float = 1000.0) -> PeriodicBayesianFlow:
    """The process of a config.

    Args:
        largest: Accuracy at the data.
    """
    return PeriodicBayesianFlow(LinearEntropy(largest))
