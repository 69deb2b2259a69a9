"""L-BFGS with one history per system."""

from collections import deque

import torch

from ase_crysdiff.relaxation.base import MAX_STEP, Optimizer, dot, regrouped
from ase_crysdiff.shapes import Float, Int, Tensor

#: First guess of the curvature before there is a pair, eV/Å²; ASE's.
CURVATURE = 70.0
#: A pair of step and change of force enters a history if their product is larger, eV.
_MIN_CURVATURE = 1e-12


class LBFGS(Optimizer):
    """Quasi-Newton steps without line search; the longest row of a step is limited.

    With `curvature=70` and `memory=100` it takes the steps of `ase.optimize.LBFGS`, but for pairs
    of negative curvature, which are left out of the history here. The curvature of the last pair
    needs fewer steps: a half on CHGNet's surface (12 for 28).

    Args:
        memory: Pairs that are kept.
        curvature: First guess of the second derivative, eV/Å², for all steps; None takes it from
            the last pair.
        max_step: Å.

    Source: Nocedal 1980, Math. Comput. 35, 773; Liu and Nocedal 1989, Math. Program. 45, 503,
    algorithm 2.1 and, for the last pair, scaling M3.
    """

    def __init__(
        self, memory: int = 20, curvature: float | None = None, max_step: float = MAX_STEP
    ) -> None:
        self.max_step, self.curvature = max_step, curvature
        # Oldest first: way, change of gradient, 1 / their product. Systems share the slots; 0 marks
        # a system without that pair.
        self._pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=memory)
        # Rows, forces, which systems have them, and the first guess of the inverse Hessian, Å²/eV.
        self._last: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def rebatch(self, kept: Int[Tensor, " kept"], added: int, num_rows: int) -> None:
        if self._last is None:
            return
        rows, forces, known, guess = self._last
        self._last = (
            regrouped(rows, kept, added, num_rows),
            regrouped(forces, kept, added, num_rows),
            regrouped(known, kept, added),
            regrouped(guess, kept, added, fill=1 / (self.curvature or CURVATURE)),
        )
        regrouped_pairs = [
            (
                regrouped(s, kept, added, num_rows),
                regrouped(y, kept, added, num_rows),
                regrouped(rho, kept, added),
            )
            for s, y, rho in self._pairs
        ]
        while regrouped_pairs and not bool(
            regrouped_pairs[0][2].any()
        ):  # of systems that have left
            regrouped_pairs.pop(0)
        self._pairs = deque(regrouped_pairs, maxlen=self._pairs.maxlen)

    def step(
        self, rows: Float[Tensor, "systems rows 3"], forces: Float[Tensor, "systems rows 3"]
    ) -> Float[Tensor, "systems rows 3"]:
        guess = torch.full_like(rows[:, :1, :1], 1 / (self.curvature or CURVATURE))
        if self._last is not None:
            old_rows, old_forces, known, guess = self._last
            way, change = rows - old_rows, old_forces - forces
            product = dot(way, change)
            usable = (product > _MIN_CURVATURE) & known
            self._pairs.append(
                (way, change, torch.where(usable, 1 / product.where(usable, 1.0), 0.0))
            )
            if self.curvature is None:
                guess = torch.where(usable, product / dot(change, change).where(usable, 1.0), guess)
        self._last = (rows, forces, torch.ones_like(guess, dtype=torch.bool), guess)
        direction = self._newton(forces, guess)
        longest = torch.linalg.vector_norm(direction, dim=-1).amax(-1)[:, None, None]
        return direction * (self.max_step / longest.clamp_min(self.max_step))

    def _newton(
        self, forces: Float[Tensor, "systems rows 3"], guess: Float[Tensor, "systems 1 1"]
    ) -> Float[Tensor, "systems rows 3"]:
        """Inverse Hessian times force, by the two-loop recursion."""
        direction, weights = forces, []
        for way, change, rho in reversed(self._pairs):
            weight = rho * dot(way, direction)
            direction = direction - weight * change
            weights.append(weight)
        direction = direction * guess
        for (way, change, rho), weight in zip(self._pairs, reversed(weights), strict=True):
            direction = direction + way * (weight - rho * dot(change, direction))
        return direction
