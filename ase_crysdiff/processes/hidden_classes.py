"""Diffusion on a finite set of classes that hides them one by one."""

import math

import torch
from torch.nn import functional

from ase_crysdiff.constants import HIDDEN
from ase_crysdiff.processes.categorical_diffusion import CategoricalDiffusion
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.schedules.noise import CosineSurvival
from ase_crysdiff.shapes import Float, Tensor

#: How probable it is that a class which is shown is wrong, and that a hidden one is drawn: next to
#: nothing, but not nothing, so that a class which a condition forbids gives way to another.
_ERROR = 1e-6
_PRIOR = 1e-8


class HiddenClasses(CategoricalDiffusion):
    """With probability 1 - ā a class has been replaced by `HIDDEN`, from which it comes back once.

    What is shown is true: the network decides each class given some of the others, in any order,
    and never has to tell true classes from noise. So it learns what goes together from fewer
    crystals than by a prior that resembles the data; in turn a class that has been drawn stays.

    Args:
        width: Number of classes; `HIDDEN` is one of them.
        schedule: Survival probability ā as a function of time.

    Source: Austin et al. 2021 (D3PM), absorbing states; Zeni et al. 2025 (MatterGen) for elements.
    """

    def __init__(self, width: int, schedule: CosineSurvival) -> None:
        weights = [_PRIOR] * width
        weights[HIDDEN] = 1.0
        super().__init__(width, schedule, weights)
        self.kernel = "hidden"

    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Float[Tensor, "rows width"]:
        """Logarithms of class probabilities: of classes that are shown certainty, unless the
        prediction already says that they are impossible.
        """
        none = functional.one_hot(torch.full_like(value, HIDDEN), self.width).bool()
        logs = torch.log_softmax(prediction.masked_fill(none, -torch.inf), -1)
        here = functional.one_hot(value, self.width).bool()
        possible = ~torch.isneginf(logs.gather(-1, value.unsqueeze(-1)))
        shown = (value != HIDDEN).unsqueeze(-1) & possible
        return torch.where(shown, (logs + math.log(_ERROR)).masked_fill(here, 0.0), logs)

    def reverse(
        self, value: Tensor, prediction: Tensor, t: Tensor, s: Tensor, rng: RandomStream
    ) -> Tensor:
        return super().reverse(value, self.clean(value, prediction, t), t, s, rng)

    def loss(
        self, prediction: Tensor, target: Tensor, value: Tensor, t: Tensor
    ) -> Float[Tensor, " rows"]:
        """Cross-entropy of the classes that are hidden; the others are known."""
        losses = functional.cross_entropy(prediction, target, reduction="none")
        return losses * (value == HIDDEN)
