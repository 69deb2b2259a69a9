"""Steps that draw every state anew from the clean estimate."""

from dataclasses import dataclass

import torch

from ase_crysdiff.crystal.batch import Layout, Level
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.processes.classes import pick
from ase_crysdiff.processes.joint import JointProcess, NoisyState, StreamFor
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.sampling.solvers.base import Predict, Solver
from ase_crysdiff.shapes import Float, Tensor


class EndBack(Solver):
    """The state at s is drawn from the forward law of the clean estimate, whatever the state at t:
    an error of the way so far is forgotten, and paths do not hang together.

    Classes are drawn from their estimated probabilities first.

    Args:
        noise: Standard deviation of the normal numbers that states are drawn with, 1 for their own
            law. Below 1 they lie closer to the estimate than the network is told.

    Source: Wu et al. 2025 (CrysBFN), the default strategy of the published code.
    """

    def __init__(self, noise: float = 1.0) -> None:
        self.noise = noise

    def evaluations(self, steps: int) -> int:
        return steps

    def step(
        self,
        denoise: Predict,
        joint: JointProcess,
        state: NoisyState,
        t: float,
        s: float,
        layout: Layout,
        rng: StreamFor,
    ) -> NoisyState:
        prediction = denoise(state, t)
        ends = {}
        for name, c in joint.components.items():
            end = joint.clean(name, state, prediction, t, layout)
            if not state[name].is_floating_point():
                number = rng(f"end {name}", c.level).uniform(1)
                end = pick(torch.softmax(end, -1), number)
            ends[name] = end
        times = torch.full((layout.num_crystals,), s, device=layout.device, dtype=layout.dtype)

        def scaled(name: str, level: Level) -> RandomStream:
            return _Scaled(rng(name, level), self.noise)

        return joint.corrupt(ends, times, layout, scaled)[0]


@dataclass(frozen=True)
class _Scaled:
    """Random numbers whose normal ones have another standard deviation."""

    stream: RandomStream
    deviation: float

    def normal(self, width: int) -> Float[Tensor, "rows width"]:
        return self.deviation * self.stream.normal(width)

    def uniform(self, width: int) -> Float[Tensor, "rows width"]:
        return self.stream.uniform(width)


def end_back(settings: SamplingSettings) -> EndBack:
    """Drawn anew at each step, with the settings' noise."""
    return EndBack(settings.noise)
