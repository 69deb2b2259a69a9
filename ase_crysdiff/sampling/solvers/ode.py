"""Deterministic steps along the probability flow."""

from collections.abc import Mapping

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.processes.joint import JointProcess, NoisyState, StreamFor
from ase_crysdiff.sampling.solvers.base import Predict, Solver


class Ode(Solver):
    """Euler's or Heun's rule in the coordinates of each process; discrete components take their
    posterior.

    On Gaussian diffusion the first order is DDIM, the second the solver of Karras et al. 2022
    (algorithm 1) without noise.

    Args:
        order: 1 (Euler) or 2 (Heun: a second evaluation at the end of each step but the last, which
            ends at t = 0, where no network was trained).
        velocity_annealing: By component, how much faster than its clock it moves near the data: a
            step from t to s brings it to t - (t - s)(1 + a (1 - t)), never past 0. Source: Luo et
            al. 2025 (CrystalFlow), "anti-annealing", 5 for coordinates.
    """

    def __init__(
        self, order: int = 1, velocity_annealing: Mapping[str, float] | None = None
    ) -> None:
        if order not in (1, 2):
            raise InputError(f"order must be 1 or 2, got {order!r}.")
        self.order = order
        self.velocity_annealing = dict(velocity_annealing or {})

    def evaluations(self, steps: int) -> int:
        return steps if self.order == 1 else 2 * steps - 1

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
        reach = {
            name: max(0.0, t - (t - s) * (1 + self.velocity_annealing.get(name, 0.0) * (1 - t)))
            for name in joint.components
        }
        estimates = [(state, denoise(state, t), t)]
        reached = joint.transport(state, estimates, t, reach, layout, rng)
        if self.order == 1 or s == 0:
            return reached
        estimates.append((reached, denoise(reached, s), s))
        return joint.transport(state, estimates, t, reach, layout, rng)


def euler(settings: SamplingSettings) -> Ode:
    """Euler's rule, with the settings' velocity annealing."""
    return Ode(1, settings.velocity_annealing)


def heun(settings: SamplingSettings) -> Ode:
    """Heun's rule, with the settings' velocity annealing."""
    return Ode(2, settings.velocity_annealing)
