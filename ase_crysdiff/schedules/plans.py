"""Time plans: which times a sampler visits."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.errors import InputError


@dataclass(frozen=True)
class UniformPlan:
    """Equal steps from `start` down to 0, on the grid of the trained steps.

    A plan shorter than the trained one starts at t = 0.99 at most: the clipped cosine schedule multiplies the error of the
    lattice by 2,000 over its last steps, which only the full number of steps corrects again.

    Args:
        steps: Number of (t, s) pairs, 1 to 1000.
        start: First time; None means 1 for the full plan and 0.99 for shorter ones.
    """

    steps: int
    start: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 1 <= self.steps <= TRAINED_STEPS:
            raise InputError(f"steps must be a whole number from 1 to {TRAINED_STEPS}, got {self.steps!r}.")

    def __len__(self) -> int:
        return len(self._grid()) - 1

    def __iter__(self) -> Iterator[tuple[float, float]]:
        grid = self._grid()
        for k, next_k in itertools.pairwise(grid):
            yield k / TRAINED_STEPS, next_k / TRAINED_STEPS

    def _grid(self) -> list[int]:
        start = self.start if self.start is not None else (1.0 if self.steps == TRAINED_STEPS else 0.99)
        top = round(start * TRAINED_STEPS)
        return sorted({round(top * i / self.steps) for i in range(self.steps + 1)}, reverse=True)
