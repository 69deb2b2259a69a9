"""What every metric returns."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.errors import InputError


@dataclass(frozen=True, repr=False)
class MetricResult:
    """A value with all that is needed to trust it.

    Args:
        value: The metric.
        interval: 95 % interval: Wilson's for rates, bootstrap for distances.
        per_structure: One entry per requested structure; None where it has no value.
        failures: Reason by position, for structures that could not be judged; a rate counts them as
            misses.
        settings: Every choice that the value depends on.
    """

    value: float
    interval: tuple[float, float]
    per_structure: tuple[Any, ...] = ()
    failures: Mapping[int, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_plain(self) -> dict[str, Any]:
        """Value, interval, number of failures and settings, as JSON can hold them."""
        return {
            "value": plain(self.value),
            "interval": plain(self.interval),
            "failures": len(self.failures),
            "settings": plain(self.settings),
        }

    def __repr__(self) -> str:
        judged = f"{len(self.per_structure)} structures, {len(self.failures)} failed"
        return f"MetricResult({self}; {judged})"

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.interval[0]:.4g}, {self.interval[1]:.4g}]"


def plain(value: Any) -> Any:
    """A value as JSON can hold it: None for a number that is not finite, no digits beyond the
    eighth, which are noise, and text for what JSON does not know.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) or value is None else str(value)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a rate. Source: Wilson 1927."""
    z, p = 1.959964, hits / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    # Rounding must not push the rate itself out of its interval.
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def rate(
    verdicts: Sequence[bool | None],
    failures: Mapping[int, str],
    settings: Mapping[str, Any],
    total: int | None = None,
) -> MetricResult:
    """The share of true verdicts among all that were requested.

    Args:
        verdicts: One per requested structure.
        failures: Reasons by position.
        settings: What the verdicts depend on.
        total: What the hits are divided by, where a published rule divides by less than was
            requested.

    Raises:
        InputError: If there are no structures.
    """
    if not verdicts:
        raise InputError("There are no structures to score.")
    total = len(verdicts) if total is None else total
    hits = sum(v is True for v in verdicts)
    if not total:
        return MetricResult(math.nan, (math.nan, math.nan), tuple(verdicts), failures, settings)
    return MetricResult(hits / total, wilson(hits, total), tuple(verdicts), failures, settings)


def mean(
    values: Sequence[float | None], failures: Mapping[int, str], settings: Mapping[str, Any]
) -> MetricResult:
    """The mean over the structures that have a value; NaN if none has.

    Raises:
        InputError: If there are no structures.
    """
    if not values:
        raise InputError("There are no structures to score.")
    known = [v for v in values if v is not None]
    if not known:
        return MetricResult(math.nan, (math.nan, math.nan), tuple(values), failures, settings)
    interval = bootstrap(lambda a: float(a.mean()), known)
    more = {**settings, "averaged": len(known), "median": float(np.median(known))}
    return MetricResult(float(np.mean(known)), interval, tuple(values), failures, more)


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], float],
    values: Sequence[float],
    resamples: int = 1000,
    *,
    is_distance: bool = False,
) -> tuple[float, float]:
    """95 % percentile interval of a statistic under resampling of the values, with a fixed seed.

    Args:
        statistic: Of values in any order.
        values: What is drawn from.
        resamples: How often.
        is_distance: Whether the statistic is a distance to something fixed. Resamples are noisier
            than the values, and farther away for that alone, so far that their percentiles may not
            even hold the distance itself; the interval is moved back by the mean excess.
    """
    generator = np.random.default_rng(0)
    # Sorted, so that the order of the structures does not change the draws.
    array = np.sort(np.asarray(values, dtype=float))
    drawn = [statistic(generator.choice(array, len(array))) for _ in range(resamples)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    if is_distance:
        value = statistic(array)
        excess = float(np.mean(drawn)) - value
        return max(0.0, min(value, float(low) - excess)), max(value, float(high) - excess)
    return float(low), float(high)
