"""`crysdiff benchmark csp`: predicts the cell of every target from its composition and compares;
goes on where it was stopped.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ase_crysdiff.campaigns.benchmark.options import add_options

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.campaigns.benchmark.targets import Targets
    from ase_crysdiff.metrics.match_rate import Comparison, PairKey
    from ase_crysdiff.storage import Store

_PAIRS = "pairs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_options(parser, samples=1, output="csp.json")
    parser.add_argument(
        "--targets",
        type=Path,
        required=True,
        help="true structures: CSV with a cif column, packed file, ...",
    )
    parser.add_argument("--limit", type=int, help="use the first so many targets only")
    parser.add_argument(
        "--metre",
        action="store_true",
        help="also compare with all other targets of the same composition",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing, compares what is missing, scores and writes. First draws only, nothing
    redrawn or dropped.
    """
    from ase_crysdiff.campaigns.benchmark.results import results, summary
    from ase_crysdiff.campaigns.benchmark.run import DRAWS, Run, check
    from ase_crysdiff.campaigns.benchmark.targets import read_targets
    from ase_crysdiff.metrics.composition import is_neutral

    check(options)
    is_neutral(
        (("Cl", 1), ("Na", 1))
    )  # needs SMACT: better to say so now than after a night of sampling
    targets = read_targets(options.targets, options.limit)
    bench = Run.open("csp", options, targets, options.targets.name)
    rows = bench.draw(options.samples)
    comparison, matching = _compare_missing(bench.folder, rows, targets, options)
    bench.facts["seconds"]["matching"] = round(matching, 2)
    content = bench.content(options.samples, **results(comparison, rows, targets, options))
    if options.keep is not None:
        _keep(options.keep, comparison, rows, targets)
    return bench.finish(content, summary(content), DRAWS, _PAIRS)


def _compare_missing(
    folder: "Store",
    rows: Sequence[Sequence["Structure | None"]],
    targets: "Targets",
    options: argparse.Namespace,
) -> tuple["Comparison", float]:
    """The comparison, and the seconds that this run has spent on it."""
    from ase_crysdiff.metrics.match_rate import Pair, compare

    journal = folder.journal(_PAIRS, "target", "sample", "distance", "volume_error", "failure")
    known = {
        (e["target"], e["sample"]): Pair(e["distance"], e["volume_error"], e["failure"])
        for e in journal.read()
        if e["sample"] < options.samples
    }
    started = time.perf_counter()
    with journal.grouped() as add:

        def note(key: "PairKey", pair: Pair) -> None:
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
    return comparison, time.perf_counter() - started


def _keep(
    folder: Path,
    comparison: "Comparison",
    rows: Sequence[Sequence["Structure | None"]],
    targets: "Targets",
) -> None:
    """Writes predictions and targets. Samples that are not finite or have no atoms stand in the
    journal only.
    """
    from ase_crysdiff.data.writing import write

    predictions = []
    for name, row, pairs in zip(targets.names, rows, comparison.pairs, strict=True):
        for sample, (structure, pair) in enumerate(zip(row, pairs, strict=True)):
            if structure is None or pair.failure in ("not finite", "no atoms"):
                continue
            structure.properties = {"target": name, "sample": sample}
            if pair.distance is not None:
                structure.properties["rms_distance"] = pair.distance
            predictions.append(structure)
    true = [s.copy() for s in targets.structures]
    for name, structure in zip(targets.names, true, strict=True):
        structure.properties = {"target": name}
    write(predictions, {}, folder / "predictions.extxyz")
    write(true, {}, folder / "targets.extxyz")
