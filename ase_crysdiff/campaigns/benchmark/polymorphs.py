"""`crysdiff benchmark polymorphs`: how many of the known forms of a composition are among so many
samples of it?
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.options import add_options

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.campaigns.benchmark.targets import Targets
    from ase_crysdiff.campaigns.work import Task

_PAIRS = "pairs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_options(parser, samples=50, output="polymorphs.json")
    parser.add_argument(
        "--targets",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="true structures of all forms",
    )
    parser.add_argument(
        "--forms",
        type=int,
        nargs="+",
        default=[2, 3, 4],
        metavar="N",
        help="numbers of forms (default 2 3 4)",
    )
    parser.add_argument("--limit", type=int, help="use the first so many compositions only")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Samples are spread evenly over the cell sizes of the forms; each is compared with every form
    of its composition.
    """
    import numpy as np

    from ase_crysdiff.campaigns.benchmark.results import plain
    from ase_crysdiff.campaigns.benchmark.run import DRAWS, Run, check
    from ase_crysdiff.campaigns.benchmark.targets import Targets, read_targets
    from ase_crysdiff.campaigns.work import work
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.metrics.polymorphs import forms_of_compositions, polymorph_coverage

    check(options)
    tables = [read_targets(path, None) for path in options.targets]
    known = Targets(
        tuple(n for t in tables for n in t.names), tuple(s for t in tables for s in t.structures)
    )
    groups = forms_of_compositions(
        known.structures, options.forms, workers=options.workers, timeout=options.timeout
    )
    groups = groups[: options.limit]
    if not groups:
        raise InputError(
            f"No composition of these files has {' or '.join(map(str, options.forms))} forms."
        )
    # Form s modulo m says how many formula units the cell of sample s holds.
    chosen = [group[s % len(group)] for group in groups for s in range(options.samples)]
    cells = Targets(
        tuple(known.names[i] for i in chosen), tuple(known.structures[i] for i in chosen)
    )
    settings = {"forms": options.forms, "samples": options.samples}
    bench = Run.open(
        "polymorphs", options, cells, ", ".join(p.name for p in options.targets), settings
    )
    samples = [row[0] for row in bench.draw(1)]
    rows = [samples[g * options.samples : (g + 1) * options.samples] for g in range(len(groups))]
    found, failed = work(
        bench.folder,
        _PAIRS,
        distance,
        _tasks(rows, groups, known),
        workers=options.workers,
        timeout=options.timeout,
    )
    distances = [np.full((options.samples, len(group)), np.inf) for group in groups]
    for key, value in found.items():
        group, sample, form = map(int, key.split("-"))
        distances[group][sample, form] = np.inf if value is None else value
    results = polymorph_coverage(distances)
    content = bench.content(
        options.samples,
        results={name: plain(r) for name, r in results.items()},
        failed_pairs=len(failed),
        compositions=[
            _line(group, known, table) for group, table in zip(groups, distances, strict=True)
        ],
    )
    text = "\n".join(f"  {name:26} {result}" for name, result in results.items())
    return bench.finish(
        content,
        f"{options.sampler}: {len(groups)} compositions, {options.samples} samples each\n{text}",
        DRAWS,
        _PAIRS,
    )


def distance(pair: "tuple[Structure, Structure]") -> float | None:
    """RMS displacement of a sample from a form, with the tolerances of structure prediction; None
    without a match.
    """
    from ase_crysdiff.metrics.match_rate import compare_pair

    return compare_pair(pair).distance


def _tasks(
    rows: "Sequence[Sequence[Structure | None]]", groups: Sequence[Sequence[int]], known: "Targets"
) -> "list[list[Task]]":
    return [
        [(f"{g}-{s}-{f}", (sample, known.structures[i])) for s, sample in enumerate(row)]
        for g, (row, group) in enumerate(zip(rows, groups, strict=True))
        for f, i in enumerate(group)
    ]


def _line(group: Sequence[int], known: "Targets", table: Any) -> dict[str, Any]:
    """What was found of one composition: by form, the samples that are nearest to it."""
    import numpy as np

    nearest = table.argmin(1)[np.isfinite(table).any(1)]
    return {
        "formula": known.structures[group[0]].composition.reduced_formula,
        "forms": [known.names[i] for i in group],
        "samples": np.bincount(nearest, minlength=len(group)).tolist(),
    }
