"""Categorical Bayesian flow of species."""

import torch
from torch.nn import functional

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.processes.base import ComponentState
from ase_crysdiff.processes.bayesian_flow import BayesianFlow
from ase_crysdiff.processes.classes import log_probabilities, pick, product_of_powers
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.schedules.accuracy import QuadraticAccuracy
from ase_crysdiff.shapes import Float, Int, Tensor

#: Name of the auxiliary: logarithms of the believed probabilities, up to one number per row.
EVIDENCE = "evidence"


class CategoricalBayesianFlow(BayesianFlow[ComponentState]):
    """The state is the probability of each class, the softmax of the evidence, kept as an
    auxiliary; its value is the likeliest class, and at t = 0 the class that it is.

    Evidence is w ~ N(A e, A) for the unit vector e of the class. The published one has the same
    softmax: its mean is shifted by one number for all classes.

    The network predicts logarithms of the probability of each class; a class drawn from them is
    what is observed next.

    Args:
        width: Number of classes.
        schedule: Accuracy A as a function of time.

    Source: Graves et al. 2023, section 6.
    """

    def __init__(self, width: int, schedule: QuadraticAccuracy) -> None:
        super().__init__(schedule, width)
        self.width = width

    def blend(self, first: Tensor, second: Tensor, weight: float) -> Tensor:
        return product_of_powers(first, second, weight)

    def prior(self, rng: RandomStream) -> ComponentState:
        """All classes are as likely; the values are uniform."""
        uniform = rng.uniform(1)
        evidence = uniform.new_zeros(len(uniform), self.width)
        return ComponentState(pick(torch.ones_like(evidence), uniform), {EVIDENCE: evidence})

    def clean(self, value: ComponentState, prediction: Tensor, t: Tensor) -> Tensor:
        return prediction

    def from_clean(self, value: ComponentState, clean: Tensor, t: Tensor) -> Tensor:
        return log_probabilities(clean, self.width, t)

    def loss(
        self, prediction: Tensor, target: Tensor, value: ComponentState, t: Tensor
    ) -> Float[Tensor, " rows"]:
        error = torch.softmax(prediction, -1) - self.image(target).to(prediction)
        return self.surprise(t, (error**2).sum(-1))

    def image(self, clean: Int[Tensor, " rows"]) -> Tensor:
        return functional.one_hot(clean, self.width)

    def belief(self, unit: Tensor, clean: Tensor, t: Tensor) -> ComponentState:
        value = torch.where(t == 0, clean, unit.argmax(-1))
        return ComponentState(value, {EVIDENCE: unit * self._accuracy(t).sqrt()})

    def evidence(self, state: ComponentState, t: Tensor) -> Tensor:
        return state.auxiliaries[EVIDENCE]

    def target(self, state: ComponentState, clean: Tensor, t: Tensor) -> Tensor:
        return clean

    def drawn(self, state: ComponentState, prediction: Tensor, t: Tensor, number: Tensor) -> Tensor:
        return pick(torch.softmax(prediction, -1), torch.special.ndtr(number))


def make(width: int = NUM_SPECIES, largest: float = 50.0) -> CategoricalBayesianFlow:
    """The process of a config.

    Args:
        width: Number of classes.
        largest: Accuracy at the data: the number of classes times the published β(1) = 0.5.
    """
    return CategoricalBayesianFlow(width, QuadraticAccuracy(largest))
