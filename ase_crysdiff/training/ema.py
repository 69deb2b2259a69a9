"""Exponential moving average of weights."""

import torch
from torch import nn

from ase_crysdiff.shapes import Tensor


class WeightAverage:
    """Averaged parameters; the decay rises with the number of updates, so that early weights are
    forgotten.

    Args:
        module: Whose parameters are averaged.
        decay: Final decay per update.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {
            n: p.detach().clone() for n, p in module.named_parameters()
        }

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Moves the average towards the module's parameters after step number `step`, counted from
        0.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = dict(module.named_parameters())
        averages = list(self.weights.values())
        torch._foreach_lerp_(averages, [parameters[n].detach() for n in self.weights], 1 - decay)
