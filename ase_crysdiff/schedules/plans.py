"""Time plans: which times a sampler visits."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ase_crysdiff import arguments
from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.errors import InputError


@dataclass(frozen=True)
class UniformPlan:
    """Equal steps from `start` down to 0, on the grid of the trained steps.

    A plan shorter than the trained one starts at t = 0.99 at most: the clipped cosine schedule
    multiplies the error of the lattice by 2,000 over its last steps, which only the full number of
    steps corrects again.

    Args:
        steps: Number of (t, s) pairs, 1 to 1000.
        start: First time; None means 1 for the full plan and 0.99 for shorter ones.
    """

    steps: int
    start: float | None = None

    def __post_init__(self) -> None:
        if (
            isinstance(self.steps, bool)
            or not isinstance(self.steps, int)
            or not 1 <= self.steps <= TRAINED_STEPS
        ):
            raise InputError(
                f"steps must be a whole number from 1 to {TRAINED_STEPS}, got {self.steps!r}."
            )

    def __len__(self) -> int:
        return len(self._grid()) - 1

    def __iter__(self) -> Iterator[tuple[float, float]]:
        grid = self._grid()
        for k, next_k in itertools.pairwise(grid):
            yield k / TRAINED_STEPS, next_k / TRAINED_STEPS

    def _grid(self) -> list[int]:
        start = (
            self.start if self.start is not None else (1.0 if self.steps == TRAINED_STEPS else 0.99)
        )
        top = round(start * TRAINED_STEPS)
        return sorted({round(top * i / self.steps) for i in range(self.steps + 1)}, reverse=True)


@dataclass(frozen=True)
class RepaintPlan:
    """A uniform plan that goes back up from time to time and takes the noise away again, `repeats`
    times in all.

    After a jump the known and the unknown rows of a crystal are denoised together once more, which
    brings them into agreement. Levels are counted from the data upwards; on first reaching level 1,
    1 + j, 1 + 2j, … below the top by more than j, the plan jumps j levels up. The noise of a jump
    is drawn at once, which has the same law as going up level by level.

    Source: Lugmayr et al. 2022 (RePaint), section 4.2 and figure 9; its level 0 is our level 1,
    since ours ends at the data.

    Args:
        steps: Steps of the plan without jumps.
        start: First time; None means 1 for the full plan and 0.99 for shorter ones.
        jump_length: Levels of a jump.
        repeats: Passes through each stretch of the plan; 1 makes no jumps.
    """

    steps: int
    start: float | None = None
    jump_length: int = 10
    repeats: int = 1

    def __post_init__(self) -> None:
        for name in ("jump_length", "repeats"):
            arguments.positive(name, getattr(self, name))
        UniformPlan(self.steps, self.start)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        down = list(UniformPlan(self.steps, self.start))
        times = [0.0, *(t for t, _ in reversed(down))]  # by level
        top = len(down)
        left = dict.fromkeys(
            range(1, top - self.jump_length + 1, self.jump_length), self.repeats - 1
        )
        level = top
        while level > 0:
            yield times[level], times[level - 1]
            level -= 1
            if left.get(level, 0):
                left[level] -= 1
                yield times[level], times[level + self.jump_length]
                level += self.jump_length
