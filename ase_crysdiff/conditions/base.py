"""What steers a sampler: three optional hooks around a loop that knows nothing of them."""

from collections.abc import Callable

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import DrawsFor, JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Int, Tensor

#: (noisy state, time) -> prediction, for the whole batch.
Denoise = Callable[[NoisyState, float], Prediction]


class Condition:
    """A wish about the result. Every hook leaves things alone unless a condition overrides it."""

    def given_species(self, species: Int[Tensor, " atoms"]) -> "Condition":
        """The condition for crystals whose atomic numbers are given, not generated; called before
        all hooks.
        """
        return self

    def start(self, state: NoisyState, joint: JointProcess, layout: Layout) -> NoisyState:
        """The first state, once, before the loop."""
        return state

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        """The denoiser that the loop uses. Conditions wrap in the order in which they are given."""
        return denoise

    def project(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, draws: DrawsFor
    ) -> NoisyState:
        """The state after each step, now at time s."""
        return state
