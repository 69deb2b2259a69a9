"""How often is the right structure predicted for a composition, and how well?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation import TIMEOUT, Failure, Workers, run_isolated
from ase_crysdiff.metrics.base import MetricResult, bootstrap, wilson
from ase_crysdiff.metrics.composition import Counts, is_neutral, reduced_counts
from ase_crysdiff.metrics.matching import (
    CSP_SETTINGS,
    CSP_TOLERANCE,
    formula_key,
    reduced,
    rms_distance,
)
from ase_crysdiff.progress import tqdm

#: Position of a target and number of the sample drawn for it.
PairKey = tuple[int, int]


@dataclass(frozen=True)
class Pair:
    """One prediction against one target.

    Args:
        distance: RMS displacement in units of (volume per atom)^(1/3), below 0.5; None if they do
            not match.
        volume_error: |V/V_target - 1|, volumes per atom, to which the distance is blind; None if
            they do not match.
        failure: Why the two were not compared; None if they were.
    """

    distance: float | None = None
    volume_error: float | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Every prediction against its own target: what all numbers of this page are computed from.

    Args:
        pairs: For each target one entry per sample; targets may have different numbers of samples.
        compositions: Reduced composition of each target.
        settings: What the pairs depend on.
    """

    pairs: tuple[tuple[Pair, ...], ...]
    compositions: tuple[Counts, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> list[float | None]:
        """Least distance of each target's samples; None for a target that none matches."""
        return [
            min((p.distance for p in row if p.distance is not None), default=None)
            for row in self.pairs
        ]

    @property
    def hits(self) -> list[float]:
        """Least distances of the targets that are matched."""
        return [r for r in self.best if r is not None]

    @property
    def failures(self) -> dict[int, str]:
        """Reasons by position in the list of all samples, target after target."""
        return {i: p.failure for i, p in enumerate(self._flat) if p.failure is not None}

    @property
    def distances(self) -> tuple[float | None, ...]:
        """The distance of each sample, target after target."""
        return tuple(p.distance for p in self._flat)

    def first(self, count: int) -> "Comparison":
        """Only the first so many samples of each target: what a shorter run would have found."""
        settings = {**self.settings, "samples": count}
        return replace(self, pairs=tuple(row[:count] for row in self.pairs), settings=settings)

    def of(self, positions: Sequence[int]) -> "Comparison":
        """Only the targets at these positions."""
        return Comparison(
            tuple(self.pairs[i] for i in positions),
            tuple(self.compositions[i] for i in positions),
            {**self.settings, "targets": len(positions)},
        )

    @property
    def _flat(self) -> list[Pair]:
        return [p for row in self.pairs for p in row]


def compare(
    predictions: Sequence[Sequence[Structure | None]],
    targets: Sequence[Structure],
    *,
    workers: Workers = 0,
    timeout: float = TIMEOUT,
    known: Mapping[PairKey, Pair] | None = None,
    on_pair: Callable[[PairKey, Pair], None] | None = None,
    progress: bool | None = False,
) -> Comparison:
    """Compares every prediction with its target. The gate comes before the matcher; a pair that
    fails is no match.

    Args:
        predictions: For each target its samples; None for one that failed.
        targets: The true structures.
        workers: Processes, which may hang or die at the cost of the pair in work; 0 works in this
            one, without a time limit.
        timeout: Seconds for one pair.
        known: Pairs that are known from an earlier run.
        on_pair: Called with every new pair as soon as it is known.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If there are no targets, or predictions and targets differ in number, or a
            target has no prediction or is itself no sound, ordered crystal.
    """
    _check(predictions, targets)
    found: dict[PairKey, Pair] = dict(known or {})
    todo = [
        [(i, k) for k in range(len(row)) if (i, k) not in found]
        for i, row in enumerate(predictions)
    ]
    todo = [keys for keys in todo if keys]
    chunks = [[(predictions[i][k], targets[i]) for i, k in keys] for keys in todo]
    bar = tqdm(
        total=sum(map(len, chunks)),
        unit=" pairs",
        desc="match",
        disable=None if progress is None else not progress,
    )
    with bar:
        for chunk, item, result in run_isolated(
            compare_pair, chunks, workers=workers, timeout=timeout
        ):
            key = todo[chunk][item]
            found[key] = Pair(failure=result.reason) if isinstance(result, Failure) else result
            if on_pair is not None:
                on_pair(key, found[key])
            bar.update()
    return Comparison(
        tuple(tuple(found[i, k] for k in range(len(row))) for i, row in enumerate(predictions)),
        tuple(reduced_counts(t) for t in targets),
        {
            **CSP_SETTINGS,
            "pymatgen": version("pymatgen"),
            "targets": len(targets),
            "samples": _samples(predictions),
        },
    )


def _check(predictions: Sequence[Sequence[Structure | None]], targets: Sequence[Structure]) -> None:
    if not len(targets):
        raise InputError("There are no targets to compare with.")
    if len(predictions) != len(targets):
        raise InputError(
            f"{len(targets)} targets need as many lists of predictions, got {len(predictions)}."
        )
    for i, (row, target) in enumerate(zip(predictions, targets, strict=True)):
        if not len(row):
            raise InputError(f"Target {i} has no prediction. Give None for a sample that failed.")
        reason = gate(target)
        if reason is not None:
            raise InputError(
                f"Target {i} cannot be a target: {reason}. Remove it, and its predictions."
            )


def _samples(predictions: Sequence[Sequence[Structure | None]]) -> int | list[int]:
    counts = sorted({len(row) for row in predictions})
    return counts[0] if len(counts) == 1 else counts


def compare_pair(pair: tuple[Structure | None, Structure]) -> Pair:
    """Gate, composition, matcher."""
    prediction, target = pair
    reason = gate(prediction)
    if prediction is None or reason is not None:
        return Pair(failure=reason)
    if formula_key(prediction) != formula_key(target):
        return Pair(failure="another composition")
    distance = rms_distance(reduced(prediction), _reduced_target(target))
    if distance is None:
        return Pair()
    ratio = (prediction.volume / len(prediction)) / (target.volume / len(target))
    return Pair(distance, abs(ratio - 1))


_last_target: list[tuple[Structure, Structure]] = []


def _reduced_target(target: Structure) -> Structure:
    """The reduced cell, kept for the next sample of the same target."""
    if not _last_target or _last_target[0][0] is not target:
        _last_target[:] = [(target, reduced(target))]
    return _last_target[0][1]


def match_rate(comparison: Comparison) -> MetricResult:
    """Share of targets that at least one of their samples matches.

    Source: Xie et al. 2022 (CDVAE) for the tolerances, Jiao et al. 2023 (DiffCSP) for several
    samples, both here without their filter of valid compositions, which `diffcsp` applies.
    """
    total = len(comparison.pairs)
    verdicts = tuple(d is not None for d in comparison.distances)
    hits = len(comparison.hits)
    return MetricResult(
        hits / total, wilson(hits, total), verdicts, comparison.failures, comparison.settings
    )


def rmse(comparison: Comparison) -> MetricResult:
    """Mean over the matched targets of their least distance; NaN if none is matched.

    Knows nothing of the targets without a match, so a model with fewer matches can look better:
    read it beside `match_rate` and `crmse`.
    """
    return _mean(comparison, comparison.hits, comparison.distances)


def crmse(comparison: Comparison) -> MetricResult:
    """Mean over all targets of their least distance, where a target without a match counts with the
    tolerance 0.5.

    Source: Martirossyan et al. 2025, arXiv 2509.12178, index-wise form.
    """
    filled = [CSP_TOLERANCE if r is None else r for r in comparison.best]
    return _mean(comparison, filled, comparison.distances)


def volume_error(comparison: Comparison) -> MetricResult:
    """Mean over the matched targets of |V/V_target - 1| of the sample with the least distance,
    which is blind to volume.
    """
    best = []
    for row in comparison.pairs:
        matched = [
            (p.distance, p.volume_error)
            for p in row
            if p.distance is not None and p.volume_error is not None
        ]
        best += [min(matched)[1]] if matched else []
    flat = tuple(p.volume_error for row in comparison.pairs for p in row)
    return _mean(comparison, best, flat)


def _mean(
    comparison: Comparison, values: Sequence[float], per_structure: tuple[float | None, ...]
) -> MetricResult:
    settings = {**comparison.settings, "targets_averaged": len(values)}
    if not values:
        return MetricResult(
            math.nan, (math.nan, math.nan), per_structure, comparison.failures, settings
        )
    interval = bootstrap(lambda a: float(a.mean()), values)
    return MetricResult(
        float(np.mean(values)), interval, per_structure, comparison.failures, settings
    )


def diffcsp(comparison: Comparison) -> Comparison:
    """The comparison as DiffCSP's published scripts make it: nothing matches a target whose
    composition fails SMACT.

    Their filter asks SMACT, distances and a CrystalNN fingerprint of both sides. Matching
    compositions are equal, so SMACT says something of the target alone, and caps the match rate at
    `ceiling`. Two deviations: distances are judged by our stricter gate, and fingerprints are not
    computed (a crystal that matches a real one has its neighbours).

    Source: Jiao et al. 2023 (DiffCSP), evaluation script; Xie et al. 2022 (CDVAE) for the SMACT
    rule.
    """
    neutral = [is_neutral(c) for c in comparison.compositions]
    pairs = tuple(
        row if ok else tuple(replace(p, distance=None, volume_error=None) for p in row)
        for row, ok in zip(comparison.pairs, neutral, strict=True)
    )
    filters = {
        "filter": "SMACT",
        "smact": version("smact"),
        "ceiling": sum(neutral) / len(neutral),
        "fingerprint": "not computed",
    }
    return Comparison(pairs, comparison.compositions, {**comparison.settings, **filters})
