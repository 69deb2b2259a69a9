"""Langevin correction at t, then an ancestral step to s."""

from collections.abc import Mapping

from ase_crysdiff.crystal.batch import Layout, Level
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.processes.joint import JointProcess, NoisyState, StreamFor
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.sampling.solvers.base import Predict, Solver


class PredictorCorrector(Solver):
    """Ancestral steps, each after a Langevin correction where one is asked for.

    Source: Song et al. 2021, algorithm 1, in DiffCSP's order: correct first, then predict with a
    second evaluation.

    Args:
        corrections: Size of the corrector step by component; empty for plain ancestral sampling
            with one evaluation.
    """

    def __init__(self, corrections: Mapping[str, float]) -> None:
        self.corrections = dict(corrections)

    def evaluations(self, steps: int) -> int:
        return 2 * steps if self.corrections else steps

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
        if self.corrections:

            def corrector_rng(name: str, level: Level) -> RandomStream:
                return rng(f"correct {name}", level)

            state = joint.correct(
                state, denoise(state, t), t, self.corrections, layout, corrector_rng
            )
        return joint.reverse(state, denoise(state, t), t, s, layout, rng)


def ancestral(settings: SamplingSettings) -> PredictorCorrector:
    """Ancestral steps, with the settings' corrections."""
    return PredictorCorrector(settings.corrections)
