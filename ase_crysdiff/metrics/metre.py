"""Match rate per reference: who is found, by whatever sample?"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import product

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.isolation import TIMEOUT, Failure, Workers, run_isolated
from ase_crysdiff.metrics.base import MetricResult, bootstrap, wilson
from ase_crysdiff.metrics.match_rate import Comparison, PairKey, compare_pair
from ase_crysdiff.metrics.matching import CSP_TOLERANCE, formula_key

#: More comparisons than these are not begun: a set of one formula only, such as Carbon-24, asks for
#: millions.
MAX_PAIRS = 200_000


def metre(
    comparison: Comparison,
    predictions: Sequence[Sequence[Structure | None]],
    targets: Sequence[Structure],
    *,
    workers: Workers = 0,
    timeout: float = TIMEOUT,
) -> tuple[MetricResult, MetricResult]:
    """METRe, "Match Everyone to Reference", and its cRMSE: share of targets that any sample of
    their composition matches, and mean least distance.

    Indices do not matter, so polymorphs may be found in any order; a target that occurs twice is
    credited twice. A target without a match counts with the tolerance 0.5 in the mean.

    Source: Martirossyan et al. 2025, arXiv 2509.12178.

    Args:
        comparison: Of these predictions and targets, index by index; only the other pairs are
            computed here.
        predictions: For each target its samples; None for one that failed.
        targets: The true structures.
        workers: Processes, which may hang or die at the cost of the pair in work; 0 works in this
            one, without a time limit.
        timeout: Seconds of processor time for one pair.

    Returns:
        Both NaN, with the reason in the settings, if more than 200,000 pairs would have to be
        compared.
    """
    pairs = _other_pairs(predictions, targets)
    settings = {
        **comparison.settings,
        "pairs": len(pairs) + sum(len(row) for row in predictions),
        "failed_pairs": 0,
    }
    if len(pairs) > MAX_PAIRS:
        nothing = MetricResult(
            math.nan,
            (math.nan, math.nan),
            settings={**settings, "skipped": f"more than {MAX_PAIRS} pairs"},
        )
        return nothing, nothing
    best = [CSP_TOLERANCE if r is None else r for r in comparison.best]
    credited = {
        (i, k)
        for i, row in enumerate(comparison.pairs)
        for k, p in enumerate(row)
        if p.distance is not None
    }
    by_target: dict[int, list[PairKey]] = defaultdict(list)
    for target, sample in pairs:
        by_target[target].append(sample)
    chunks = [
        [(predictions[i][k], targets[t]) for i, k in samples] for t, samples in by_target.items()
    ]
    names = list(by_target)
    failures = comparison.failures
    for chunk, item, result in run_isolated(compare_pair, chunks, workers=workers, timeout=timeout):
        if isinstance(result, Failure):
            settings["failed_pairs"] += 1
        elif result.distance is not None:
            best[names[chunk]] = min(best[names[chunk]], result.distance)
            credited.add(by_target[names[chunk]][item])
    verdicts = tuple(
        (i, k) in credited for i, row in enumerate(predictions) for k in range(len(row))
    )
    hits = sum(r < CSP_TOLERANCE for r in best)
    interval = bootstrap(lambda a: float(a.mean()), best)
    return (
        MetricResult(hits / len(targets), wilson(hits, len(targets)), verdicts, failures, settings),
        MetricResult(float(np.mean(best)), interval, verdicts, failures, settings),
    )


def _other_pairs(
    predictions: Sequence[Sequence[Structure | None]], targets: Sequence[Structure]
) -> list[tuple[int, PairKey]]:
    """Targets with the samples of their composition that were drawn for another target."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i, target in enumerate(targets):
        groups[formula_key(target)].append(i)
    shared = {key: members for key, members in groups.items() if len(members) > 1}
    found = []
    for i, row in enumerate(predictions):
        members = shared.get(formula_key(targets[i]), [])
        sound = [k for k, s in enumerate(row) if members and gate(s) is None]
        found += [(t, (i, k)) for t, k in product(members, sound) if t != i]
    return found
