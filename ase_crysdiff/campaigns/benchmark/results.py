"""The numbers of a comparison, as plain JSON and as a table."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.breakdown import DRAWN, RANKED, breakdown, curve_of, table
from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.metrics.match_rate import (
    Comparison,
    crmse,
    diffcsp,
    match_rate,
    rmse,
    volume_error,
)
from ase_crysdiff.metrics.metre import metre
from ase_crysdiff.metrics.prototypes import PrototypeLibrary
from ase_crysdiff.symmetry.scaffold import Scaffold

#: How a table says what was given.
_GIVEN = {
    "composition": "composition",
    "group": "composition and the true space group",
    "scaffold": "composition and the true space group and sites",
}


def results(
    comparison: Comparison,
    rows: Sequence[Sequence[Structure | None]],
    targets: Targets,
    scaffolds: Sequence[Scaffold | None],
    *,
    library: PrototypeLibrary | None,
    ranked: bool,
    with_metre: bool,
    workers: int,
    timeout: float,
) -> dict[str, Any]:
    """Rates, distances, curves over the number of samples, for all targets and by kind, reasons of
    failures, and the least distance of every target.

    Args:
        comparison: Of every sample with its target.
        rows: The samples of every target; None where there is none.
        targets: What was to be predicted.
        scaffolds: Of the targets; None where no space group is found.
        library: Known prototypes; None makes no difference between targets by them.
        ranked: Whether the samples of a target are ranked candidates.
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
        "curve_of": RANKED if ranked else DRAWN,
        "curve": {n: among.as_plain() for n, among in curve_of(comparison, ranked).items()},
        **breakdown(comparison, scaffolds, library, ranked),
        "library": None if library is None else library.as_plain(),
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
        f"{content['sampler']}: {content['targets']['count']} targets, given the "
        f"{_GIVEN[content['given']]}, {content['samples_per_target']} samples each, "
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
    lines += table(content)
    library = content["library"]
    if library is not None:
        lines.append(f"  library: {library['library']}, {library['prototypes']} prototypes")
    counts = {
        **content["failures"],
        **{"refused: " + reason: len(n) for reason, n in content["refused_targets"].items()},
    }
    lines += [f"  {count} × {reason}" for reason, count in counts.items()]
    return "\n".join(lines)
