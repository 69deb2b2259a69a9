"""What steers a sampler: three optional hooks around a loop that knows nothing of them.

Conditions act on the clean estimate, which every process turns into a prediction and back, so that
any of them works on any process: `Estimating` is the base of those that change it.
"""

from abc import abstractmethod
from collections.abc import Callable

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.networks.base import Context
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction, StreamFor
from ase_crysdiff.shapes import Int, Tensor

__all__ = ["Condition", "Context", "Denoise", "Estimating"]

#: (noisy state, time, context) -> prediction, for the whole batch.
Denoise = Callable[[NoisyState, float, Context], Prediction]


class Condition:
    """A wish about the result. Every hook leaves things alone unless a condition overrides it."""

    def given_species(self, species: Int[Tensor, " atoms"]) -> "Condition":
        """The condition for crystals whose atomic numbers are given, not generated.

        Called before all hooks.
        """
        return self

    def start(self, state: NoisyState, joint: JointProcess, layout: Layout) -> NoisyState:
        """The first state, once, before the loop."""
        return state

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        """The denoiser that the loop uses. Conditions wrap in the order in which they are given."""
        return denoise

    def project(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, rng: StreamFor
    ) -> NoisyState:
        """The state after each step, now at time s."""
        return state

    def parents(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, rng: StreamFor
    ) -> Int[Tensor, " crystals"] | None:
        """Which crystal of the batch, of equally many rows, each one goes on from after a step;
        None leaves all where they are.
        """
        return None

    def follow(self, parents: Int[Tensor, " crystals"], layout: Layout) -> None:
        """Called when crystals have gone on from others, for conditions that remember something of
        each.
        """

    def take_usage(self) -> dict[str, float]:
        """What the condition has cost since it was last asked, by name; nothing for most."""
        return {}


class Estimating(Condition):
    """A condition that changes the clean estimate of one component."""

    #: Name of the component.
    component: str

    @abstractmethod
    def estimate(self, clean: Tensor, t: float, layout: Layout) -> Tensor:
        """The changed clean estimate.

        Args:
            clean: Points of the component's space, one per row; for classes logarithms of their
                probabilities, up to one number per row.
            t: Time of the state that it was made from.
            layout: Rows of each crystal.
        """

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        name = self.component

        def changed(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            clean = self.estimate(joint.clean(name, state, prediction, t, layout), t, layout)
            return {**prediction, name: joint.from_clean(name, state, clean, t, layout)}

        return changed
