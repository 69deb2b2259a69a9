"""Samples against their targets, each comparison kept at once."""

import time
from collections.abc import Sequence

from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.base import PredictionOptions
from ase_crysdiff.campaigns.benchmark.run import Run
from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.metrics.match_rate import Comparison, Pair, PairKey, compare


def compare_missing(
    bench: Run,
    name: str,
    rows: Sequence[Sequence[Structure | None]],
    targets: Targets,
    options: PredictionOptions,
) -> Comparison:
    """The comparison, from the journal of that name and made now.

    The seconds that this run has spent on it are among its facts.

    Args:
        bench: The run.
        name: Of the journal.
        rows: For every target its samples; None where there is none.
        targets: What was to be predicted.
        options: Of the benchmark.
    """
    journal = bench.folder.journal(name, "target", "sample", "distance", "volume_error", "failure")
    known = {
        (e["target"], e["sample"]): Pair(e["distance"], e["volume_error"], e["failure"])
        for e in journal.read()
        if e["sample"] < options.samples
    }
    started = time.perf_counter()
    with journal.grouped() as add:

        def note(key: PairKey, pair: Pair) -> None:
            add({"target": key[0], "sample": key[1], **vars(pair)})

        comparison = compare(
            rows,
            targets.structures,
            workers=options.workers,
            timeout=options.timeout,
            known=known,
            on_pair=note,
            progress=None,
        )
    bench.facts["seconds"]["matching"] = round(time.perf_counter() - started, 2)
    return comparison
