"""A scale on which few large values do not decide a fit that minimises squares."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Beyond the training values by this share of their range nothing is answered.
_BEYOND = 0.1


@dataclass(frozen=True)
class Squash:
    """Values against (value - middle) / width, or the arcsinh of that: linear near the median,
    logarithmic far from it. What is the median there is the median of the values, whose absolute
    error is the least.

    Args:
        middle: Mean of the training values; of bent ones the median.
        width: Their standard deviation; of bent ones the median distance from the middle.
        low: Lowest answer.
        high: Highest answer.
        bent: Whether the arcsinh is taken.
    """

    middle: float
    width: float
    low: float
    high: float
    bent: bool = False

    @staticmethod
    def of(values: Array, bent: bool = False) -> "Squash":
        """The scale of training values, which must differ."""
        low, high = float(values.min()), float(values.max())
        room = _BEYOND * (high - low)
        if not bent:
            return Squash(float(values.mean()), float(values.std()), low - room, high + room)
        middle = float(np.median(values))
        away = np.abs(values - middle)
        # Where most values are the same, the median distance is none.
        width = max(float(np.median(away)), 0.1 * float(away.mean()))
        return Squash(middle, width, low - room, high + room, bent)

    def forward(self, values: Array) -> Array:
        """To the scale of the fit."""
        found = (values - self.middle) / self.width
        return np.arcsinh(found) if self.bent else found

    def inverse(self, fitted: Array) -> Array:
        """Back to values."""
        found = np.sinh(np.clip(fitted, -50.0, 50.0)) if self.bent else fitted
        return np.clip(found * self.width + self.middle, self.low, self.high)

    def as_dict(self) -> Mapping[str, Any]:
        """For a card."""
        return asdict(self)
