"""Flow matching of latents: a network that predicts the clean latent, judged by the velocity that
its estimate implies.
"""

import torch

from ase_crysdiff.processes.flow import LinearFlow
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Tensor

#: Times near the data, where a velocity says little of the clean state, weigh no more than this
#: one.
_NEAREST = 0.1


class LatentFlow(LinearFlow):
    """Straight lines to the unit normal, as `LinearFlow`; the network predicts where they start.

    Source: CrysLDNet (2026), stage 2: x̂ - x over the remaining time, which is cut off at 0.1. Time
    runs the other way there.
    """

    def corrupt(self, clean: Tensor, t: Tensor, rng: RandomStream) -> tuple[Tensor, Tensor]:
        noisy, _ = super().corrupt(clean, t, rng)
        return noisy, clean

    def velocity(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        return super().from_clean(value, prediction, t)

    def reverse(
        self, value: Tensor, prediction: Tensor, t: Tensor, s: Tensor, rng: RandomStream
    ) -> Tensor:
        return self.ode_step(value, self.velocity(value, prediction, t), t, s)

    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        return prediction

    def from_clean(self, value: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        return clean

    def loss(
        self, prediction: Tensor, target: Tensor, value: Tensor, t: Tensor
    ) -> Float[Tensor, " rows"]:
        return super().loss(prediction, target, value, t) * self.weight(t)

    def weight(self, t: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """What a squared error of the estimate counts: 1 at the prior, 100 at t = 0.1 and below."""
        return torch.clamp_min(t, _NEAREST) ** -2
