"""Deterministic steps along the probability flow."""

from collections.abc import Mapping

from ase_crysdiff.conditions.base import Denoise
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.processes.joint import DrawsFor, JointProcess, NoisyState
from ase_crysdiff.sampling.solvers.base import Solver


class Ode(Solver):
    """Euler's or Heun's rule in the coordinates of each process; discrete components take their
    posterior.

    On Gaussian diffusion the first order is DDIM, the second the solver of Karras et al. 2022
    (algorithm 1) without noise.

    Args:
        order: 1 (Euler) or 2 (Heun: a second evaluation at the end of each step but the last, which
            ends at t = 0, where no network was trained).
        hurry: By component, how much faster than its clock it moves near the data: it is brought to
            t - (t - s)(1 + h (1 - t)) in the time from t to s, never past 0. Flow papers call this
            anti-annealing of velocities (CrystalFlow uses 5 for coordinates).
    """

    def __init__(self, order: int = 1, hurry: Mapping[str, float] | None = None) -> None:
        if order not in (1, 2):
            raise InputError(f"order must be 1 or 2, got {order!r}.")
        self.order = order
        self.hurry = dict(hurry or {})

    def evaluations(self, steps: int) -> int:
        return steps if self.order == 1 else 2 * steps - 1

    def step(
        self,
        denoise: Denoise,
        joint: JointProcess,
        state: NoisyState,
        t: float,
        s: float,
        layout: Layout,
        draws: DrawsFor,
    ) -> NoisyState:
        reach = {
            name: max(0.0, t - (t - s) * (1 + self.hurry.get(name, 0.0) * (1 - t)))
            for name in joint.components
        }
        estimates = [(state, denoise(state, t), t)]
        reached = joint.transport(state, estimates, t, reach, layout, draws)
        if self.order == 1 or s == 0:
            return reached
        estimates.append((reached, denoise(reached, s), s))
        return joint.transport(state, estimates, t, reach, layout, draws)
