"""Steps that draw every state anew from the clean estimate."""

import torch

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.processes.classes import pick
from ase_crysdiff.processes.joint import JointProcess, NoisyState, StreamFor
from ase_crysdiff.sampling.solvers.base import Predict, Solver


class EndBack(Solver):
    """The state at s is drawn from the forward law of the clean estimate, whatever the state at t:
    an error of the way so far is forgotten, and paths do not hang together.

    Classes are drawn from their estimated probabilities first.

    Source: Wu et al. 2025 (CrysBFN), the default strategy of the published code.
    """

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
        return joint.corrupt(ends, times, layout, rng)[0]


def end_back(settings: SamplingSettings) -> EndBack:
    """Drawn anew at each step; takes no settings."""
    return EndBack()
