"""Sharper or softer choices of a discrete component."""

from dataclasses import dataclass

from ase_crysdiff.conditions.base import Condition, Denoise
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction


@dataclass(frozen=True)
class Temperature(Condition):
    """Divides the logits of a component: below 1 likely classes become likelier, 1 changes nothing.

    An undertrained network spreads probability over classes that do not belong together; a temperature below 1 trades some
    diversity for consistency. Well known from language models (Ackley et al. 1985 for the idea).

    Args:
        component: Name of the component.
        temperature: Above 0.
    """

    component: str
    temperature: float

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        if self.temperature == 1:
            return denoise

        def tempered(state: NoisyState, t: float) -> Prediction:
            prediction = denoise(state, t)
            return {**prediction, self.component: prediction[self.component] / self.temperature}

        return tempered
