"""How many of the known forms of a composition are among so many samples of it?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import (
    Benchmark,
    BenchmarkResult,
    CompositionOptions,
)

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.campaigns.benchmark.base import StructureSource
    from ase_crysdiff.campaigns.benchmark.targets import Targets
    from ase_crysdiff.campaigns.work import WorkItem

_PAIRS = "pairs"


@dataclass(frozen=True, kw_only=True)
class PolymorphsOptions(CompositionOptions):
    """Options of `polymorphs`.

    Args:
        targets: true structures of all forms, in one file or several
        forms: numbers of forms that a composition may have
        limit: use the first so many compositions only
    """

    targets: tuple[Path, ...]
    forms: tuple[int, ...] = (2, 3, 4)
    limit: int | None = None
    samples: int = 50
    output: Path = Path("polymorphs.json")


def polymorphs(options: PolymorphsOptions, sampler: "StructureSource") -> BenchmarkResult:
    """How many known forms of a composition are among the samples of it.

    Samples are spread evenly over the cells of the forms; each is compared with every form of
    its composition. First draws only, nothing redrawn or dropped.

    Args:
        options: What is asked for.
        sampler: Predicts structures of given compositions.

    Returns:
        `results` (full and mean coverage, by the number of forms, too) and `compositions`: for each
        its forms and how many samples are nearest to each.

    Raises:
        IncompatibleError: If the sampler takes no composition.
        InputError: If an option makes no sense, a target cannot be used, no composition has so many
            forms, or the folder of `keep` holds a run with other settings.
    """
    import numpy as np

    from ase_crysdiff.campaigns.benchmark.pairs import distance
    from ase_crysdiff.campaigns.benchmark.run import Run, check
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
        known.structures, list(options.forms), workers=options.workers, timeout=options.timeout
    )
    groups = groups[: options.limit]
    if not groups:
        raise InputError(
            f"No composition of these files has {' or '.join(map(str, options.forms))} forms."
        )
    cells, counts, owners = _cells(known, groups, options.samples)
    files = ", ".join(p.name for p in options.targets)
    settings = {"forms": options.forms, "samples": options.samples}
    bench = Run.on_targets("polymorphs", options, sampler, cells, files, settings)
    rows: list[list[Structure | None]] = [[] for _ in groups]
    for group, row in zip(owners, bench.predict(cells, counts), strict=True):
        rows[group] += row
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
        results={name: r.as_plain() for name, r in results.items()},
        failed_pairs=len(failed),
        compositions=[
            _line(group, known, table) for group, table in zip(groups, distances, strict=True)
        ],
    )
    text = "\n".join(f"  {name:26} {result}" for name, result in results.items())
    head = f"{sampler.name}: {len(groups)} compositions, {options.samples} samples each\n"
    return bench.finish(content, head + text, _PAIRS)


BENCHMARK = Benchmark(
    polymorphs, PolymorphsOptions, "known forms of a composition that are found", ("sampler",)
)


def _cells(
    known: "Targets", groups: Sequence[Sequence[int]], samples: int
) -> "tuple[Targets, list[int], list[int]]":
    """Cells of different contents, the samples for each, and the composition that each is of.

    Sample s of a composition is one of the contents of its form s modulo their number. Forms of
    equal contents share a cell, so that candidates of a sampler that ranks never come twice.
    """
    from ase_crysdiff.campaigns.benchmark.targets import Targets

    contents = known.compositions
    chosen: list[int] = []
    counts: list[int] = []
    owners: list[int] = []
    for g, group in enumerate(groups):
        first: dict[tuple[tuple[int, int], ...], int] = {}
        for i in group:
            first.setdefault(contents[i], i)
        drawn = Counter(contents[group[s % len(group)]] for s in range(samples))
        chosen += first.values()
        counts += [drawn[content] for content in first]
        owners += [g] * len(first)
    cells = Targets(
        tuple(known.names[i] for i in chosen), tuple(known.structures[i] for i in chosen)
    )
    return cells, counts, owners


def _tasks(
    rows: "Sequence[Sequence[Structure | None]]", groups: Sequence[Sequence[int]], known: "Targets"
) -> "list[list[WorkItem]]":
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
