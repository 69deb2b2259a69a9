"""The numbers of a comparison, as plain JSON and as a table."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.metrics.base import plain
from ase_crysdiff.metrics.match_rate import (
    Comparison,
    crmse,
    curve,
    diffcsp,
    match_rate,
    rmse,
    volume_error,
)
from ase_crysdiff.metrics.metre import metre


def results(
    comparison: Comparison,
    rows: Sequence[Sequence[Structure | None]],
    targets: Targets,
    *,
    with_metre: bool,
    workers: int,
    timeout: float,
) -> dict[str, Any]:
    """Rates, distances, curves over the number of samples, reasons of failures, and the least
    distance of every target.

    Args:
        comparison: Of every sample with its target.
        rows: The samples of every target; None where there is none.
        targets: What was to be predicted.
        with_metre: Whether to compare with all other targets of the same composition (METRe), too.
        workers: Processes for that.
        timeout: Processor seconds for one comparison.
    """
    filtered = diffcsp(comparison)
    metrics = {
        "match_rate": match_rate(comparison),
        "rmse": rmse(comparison),
        "crmse": crmse(comparison),
        "volume_error": volume_error(comparison),
        "match_rate_diffcsp": match_rate(filtered),
        "rmse_diffcsp": rmse(filtered),
    }
    if with_metre:
        found = metre(comparison, rows, targets.structures, workers=workers, timeout=timeout)
        metrics["metre"], metrics["metre_crmse"] = found
    percents = (5, 25, 50, 75, 95)
    hits = comparison.hits
    return {
        "results": {name: result.as_plain() for name, result in metrics.items()},
        "curve": {
            n: {"match_rate": rate.as_plain(), "rmse": plain(mean)}
            for n, (rate, mean) in curve(comparison).items()
        },
        "rmse_quantiles": dict(
            zip(percents, np.percentile(hits, percents).round(6).tolist(), strict=True)
        )
        if hits
        else {},
        "failures": dict(Counter(comparison.failures.values())),
        "least_distances": [
            [name, None if r is None else round(r, 6)]
            for name, r in zip(targets.names, comparison.best, strict=True)
        ],
    }


def summary(content: dict[str, Any]) -> str:
    """A table for people."""
    lines = [
        f"{content['sampler']}: {content['targets']['count']} targets, "
        f"{content['samples_per_target']} samples each, "
        f"{content['evaluations_per_sample']} network evaluations and "
        f"{content['seconds']['per_sample']} s per sample"
    ]
    for name, result in content["results"].items():
        low, high = ("-" if x is None else f"{x:.4f}" for x in result["interval"])
        value = "-" if result["value"] is None else f"{result['value']:.4f}"
        note = (
            f"  of at most {result['settings']['ceiling']:.4f}"
            if name == "match_rate_diffcsp"
            else ""
        )
        lines.append(f"  {name:20} {value}  [{low}, {high}]{note}")
    counts = {
        **content["failures"],
        **{"refused: " + reason: len(n) for reason, n in content["refused_targets"].items()},
    }
    lines += [f"  {count} × {reason}" for reason, count in counts.items()]
    return "\n".join(lines)
