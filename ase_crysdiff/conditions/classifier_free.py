"""Guidance without a classifier: away from what the model would do if it were told nothing."""

from collections.abc import Collection
from dataclasses import dataclass

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Condition, Context, Denoise
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction


@dataclass(frozen=True)
class ClassifierFree(Condition):
    """Samples from p(x | c)^w p(x)^(1 - w) for a context c, at each single time.

    The denoiser is asked twice, with the whole context and without the named entries of it, and
    each clean estimate goes `weight` of the way from the second answer to the first: 0 leaves the
    context out, 1 is plain conditional sampling, more overstates what the context says. For
    Gaussian noise the estimates are affine in the scores, so that this is the published rule; on
    the torus the way is the shortest, and for classes probabilities are multiplied.

    Args:
        names: Entries of the context that are left out; a model that was not trained without them
            has no answer.
        weight: Of the conditional estimate, at least 0.

    Raises:
        InputError: If the weight is negative or not finite, or nothing is named.

    Source: Ho & Salimans 2022, equation 6, with w = weight - 1; Zeni et al. 2025 (MatterGen) for
    crystals.
    """

    names: Collection[str]
    weight: float = 2.0

    def __post_init__(self) -> None:
        arguments.not_negative("weight", self.weight)
        if not self.names:
            raise InputError("Guidance needs the names of the properties that are left out.")

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        if self.weight == 1:
            return denoise

        def guided(state: NoisyState, t: float, context: Context) -> Prediction:
            less = {name: value for name, value in context.items() if name not in self.names}
            free = denoise(state, t, less)
            if self.weight == 0:
                return free
            told = denoise(state, t, context)
            result = dict(told)
            for name, c in joint.components.items():
                first, second = (joint.clean(name, state, p, t, layout) for p in (free, told))
                clean = c.process.blend(first, second, self.weight)
                result[name] = joint.from_clean(name, state, clean, t, layout)
            return result

        return guided
