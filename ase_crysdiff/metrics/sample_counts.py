"""How do match rate, RMSE and error of the volume grow with the number of samples?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ase_crysdiff.metrics.base import MetricResult, bootstrap, plain
from ase_crysdiff.metrics.match_rate import Comparison, match_rate, rmse, volume_error

#: Numbers of samples that tables show.
COUNTS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Among:
    """What so many samples of each target are good for.

    Args:
        match_rate: Share of the targets that one of them matches.
        rmse: Mean least distance over the matched targets; NaN if none is matched.
        volume_error: Mean error of the volume of the same samples; NaN if none is matched.
    """

    match_rate: MetricResult
    rmse: float
    volume_error: float

    def as_plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "match_rate": self.match_rate.as_plain(),
            "rmse": plain(self.rmse),
            "volume_error": plain(self.volume_error),
        }


def top(comparison: Comparison, counts: Sequence[int] = COUNTS) -> Mapping[int, Among]:
    """What the first n candidates of each target are good for, where they are distinct and ranked.

    This is no estimate: the order of the candidates is part of the answer. So it is not to be
    compared with the best of n independent draws (`best_of`), whose order means nothing.

    Args:
        comparison: Candidates of each target in the order of their ranks.
        counts: Numbers of candidates n.
    """
    found = {}
    for n in _counts(comparison, counts):
        among = comparison.first(n)
        found[n] = Among(match_rate(among), rmse(among).value, volume_error(among).value)
    return found


def best_of(comparison: Comparison, counts: Sequence[int] = COUNTS) -> Mapping[int, Among]:
    """What n independent draws would be good for, for n up to the number drawn: unbiased, from all
    of them.

    With m matches among K samples, n of them hit with probability 1 - C(K-m, n)/C(K, n), and the
    j-th best match is the best of n with probability C(K-j, n-1)/C(K, n).

    Args:
        comparison: Of a run with at least as many samples for each target.
        counts: Numbers of samples n.

    Returns:
        For each n the match rate, with a bootstrap interval over targets, and means over expected
        hits (NaN without any).
    """
    found = {}
    for n in _counts(comparison, counts):
        chances, distances, errors = [], 0.0, 0.0
        for row in comparison.pairs:
            odds = _odds(len(row), n)
            matched = sorted(
                (p.distance, p.volume_error or 0.0) for p in row if p.distance is not None
            )
            distances += sum(odds[j] * r for j, (r, _) in enumerate(matched))
            errors += sum(odds[j] * e for j, (_, e) in enumerate(matched))
            chances.append(math.fsum(odds[: len(matched)]))
        hits = math.fsum(chances)
        rate = MetricResult(
            float(np.mean(chances)),
            bootstrap(lambda a: float(a.mean()), chances),
            settings={**comparison.settings, "samples_used": n},
        )
        found[n] = Among(
            rate, distances / hits if hits else math.nan, errors / hits if hits else math.nan
        )
    return found


def _counts(comparison: Comparison, counts: Sequence[int]) -> list[int]:
    """Those that every target has samples for, and the most that every target has."""
    least = min(len(row) for row in comparison.pairs)
    return sorted({n for n in counts if n < least} | {least})


@lru_cache(maxsize=64)
def _odds(drawn: int, n: int) -> list[float]:
    """Probability that the j-th best of all samples is the best of n chosen ones."""
    return [math.comb(drawn - 1 - j, n - 1) / math.comb(drawn, n) for j in range(drawn)]
