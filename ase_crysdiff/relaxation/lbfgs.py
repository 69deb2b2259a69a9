"""L-BFGS with one history per set."""

from collections import deque

import torch

from ase_crysdiff.relaxation.base import MAX_STEP, Descent, dot, regrouped
from ase_crysdiff.shapes import Float, Int, Tensor

#: First guess of the curvature, eV/Å²; ASE's.
CURVATURE = 70.0
#: A pair of step and change of force enters a history if their product is larger, eV.
_MIN_CURVATURE = 1e-12


class LBFGS(Descent):
    """Quasi-Newton steps without line search; the longest row of a step is limited.

    It takes the steps of `ase.optimize.LBFGS`, but for pairs of negative curvature, which are left out of the history here.

    Args:
        memory: Pairs that are kept.
        max_step: Å.

    Source: Nocedal 1980, Math. Comput. 35, 773; Liu and Nocedal 1989, Math. Program. 45, 503, algorithm 2.1.
    """

    def __init__(self, memory: int = 100, max_step: float = MAX_STEP) -> None:
        self.max_step = max_step
        # Oldest first: way, change of gradient, 1 / their product. Sets share the slots; 0 marks a set without that pair.
        self._pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=memory)
        self._last: tuple[Tensor, Tensor, Tensor] | None = None  # rows, forces, which sets have them

    def rebatch(self, kept: Int[Tensor, " kept"], added: int, num_rows: int) -> None:
        if self._last is None:
            return
        rows, forces, known = self._last
        self._last = (
            regrouped(rows, kept, added, num_rows), regrouped(forces, kept, added, num_rows), regrouped(known, kept, added),
        )  # fmt: skip
        regrouped_pairs = [
            (regrouped(s, kept, added, num_rows), regrouped(y, kept, added, num_rows), regrouped(rho, kept, added))
            for s, y, rho in self._pairs
        ]
        while regrouped_pairs and not bool(regrouped_pairs[0][2].any()):  # of sets that have left
            regrouped_pairs.pop(0)
        self._pairs = deque(regrouped_pairs, maxlen=self._pairs.maxlen)

    def step(self, rows: Float[Tensor, "sets rows 3"], forces: Float[Tensor, "sets rows 3"]) -> Float[Tensor, "sets rows 3"]:
        if self._last is not None:
            old_rows, old_forces, known = self._last
            way, change = rows - old_rows, old_forces - forces
            product = dot(way, change)
            usable = (product > _MIN_CURVATURE) & known
            self._pairs.append((way, change, torch.where(usable, 1 / product.where(usable, 1.0), 0.0)))
        self._last = (rows, forces, torch.ones_like(rows[:, :1, :1], dtype=torch.bool))
        direction = self._newton(forces)
        longest = torch.linalg.vector_norm(direction, dim=-1).amax(-1)[:, None, None]
        return direction * (self.max_step / longest.clamp_min(self.max_step))

    def _newton(self, forces: Float[Tensor, "sets rows 3"]) -> Float[Tensor, "sets rows 3"]:
        """Inverse Hessian times force, by the two-loop recursion."""
        direction, weights = forces, []
        for way, change, rho in reversed(self._pairs):
            weight = rho * dot(way, direction)
            direction = direction - weight * change
            weights.append(weight)
        direction = direction / CURVATURE
        for (way, change, rho), weight in zip(self._pairs, reversed(weights), strict=True):
            direction = direction + way * (weight - rho * dot(change, direction))
        return direction
