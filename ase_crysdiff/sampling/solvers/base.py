"""One step of the reverse process."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction, StreamFor

#: (noisy state, time) -> prediction: the denoiser with all conditions and its context.
Predict = Callable[[NoisyState, float], Prediction]


class Solver(ABC):
    """Moves a state from t to s < t; may call the denoiser as often as it likes."""

    @abstractmethod
    def evaluations(self, steps: int) -> int:
        """Network evaluations of a plan of so many steps."""

    @abstractmethod
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
        """The state at s.

        Args:
            denoise: State and time to the prediction of every component.
            joint: The processes of the components.
            state: At t.
            t: Time of the state, for all crystals.
            s: Time to reach, below t.
            layout: Rows of each crystal.
            rng: Random numbers of this step, by component and level.
        """
