"""Sharper or softer choices of a discrete component."""

from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Condition, Denoise
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class Temperature(Condition):
    """Divides the logits of a component: below 1 likely classes become likelier, 1 changes nothing.

    An undertrained network spreads probability over classes that do not belong together; a
    temperature below 1 trades some diversity for consistency. Well known from language models
    (Ackley et al. 1985 for the idea).

    Args:
        component: Name of the component.
        temperature: Above 0.
        spared: Classes that keep their probability; the others are tempered among themselves. A
            vacancy is one class where an atom is many, so without this a low temperature empties
            cells.
    """

    component: str
    temperature: float
    spared: tuple[int, ...] = ()

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        if self.temperature == 1:
            return denoise

        def tempered(state: NoisyState, t: float) -> Prediction:
            prediction = denoise(state, t)
            return {**prediction, self.component: self._temper(prediction[self.component])}

        return tempered

    def _temper(self, logits: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows classes"]:
        if not self.spared:
            return logits / self.temperature
        spared = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
        spared[list(self.spared)] = True
        before = torch.log_softmax(logits, -1)
        rest = before.masked_fill(spared, -torch.inf)
        share = torch.logsumexp(rest, -1, keepdim=True)
        # A row that is certain of a spared class has no share to distribute.
        among = torch.log_softmax(
            torch.where(torch.isneginf(share), before, rest / self.temperature), -1
        )
        return torch.where(spared, before, among + share)
