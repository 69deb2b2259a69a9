"""Assembles every target from its own building blocks and compares; goes on where it was
stopped.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import (
    Benchmark,
    BenchmarkResult,
    PredictionOptions,
)

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.campaigns.benchmark.base import StructureSource

_PAIRS = "pairs"


@dataclass(frozen=True, kw_only=True)
class FrameworksOptions(PredictionOptions):
    """Options of `frameworks`.

    Args:
        targets: true frameworks: CSV with a cif column, NumPy archive, folder, ...
        limit: use the first so many targets only
        unknown: frameworks of just these blocks in a sampler's own library are no answers
    """

    targets: Path
    limit: int | None = None
    unknown: bool = False
    samples: int = 5
    timeout: float = 30.0
    output: Path = Path("frameworks.json")


def frameworks(options: FrameworksOptions, sampler: "StructureSource") -> BenchmarkResult:
    """Match rate and RMSE of frameworks assembled from the blocks of known ones.

    Each target is cut into its blocks; the sampler is given these, and must find lattice, places
    and rotations. Compared by pymatgen's StructureMatcher as published (ltol 0.3, angle 10 degrees,
    stol 0.5 and 1.0). First draws only, nothing redrawn or dropped, not even draws in which blocks
    overlap. A target that cannot be cut counts as not matched.

    Args:
        options: What is asked for.
        sampler: Assembles given blocks.

    Returns:
        `results` by tolerance and number of samples: match rate with its 95 % interval and RMSE
        over the matched; `uncut` and `failures` by reason; `sound`, the share of the draws that
        would be handed out; `distances` of every draw by target and tolerance.

    Raises:
        IncompatibleError: If the sampler assembles nothing.
        InputError: If an option makes no sense, a target cannot be used, none can be cut, or the
            folder of `keep` holds a run with other settings.
    """
    from ase_crysdiff.campaigns.benchmark.pairs import with_targets
    from ase_crysdiff.campaigns.benchmark.predictions import structure_of
    from ase_crysdiff.campaigns.benchmark.run import Run, check
    from ase_crysdiff.campaigns.benchmark.targets import read_targets
    from ase_crysdiff.campaigns.work import work
    from ase_crysdiff.data.framework_packing import cut_structure
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.metrics.frameworks import TOLERANCES, Assembled, framework_distances
    from ase_crysdiff.sampling.request import SampleRequest
    from ase_crysdiff.sampling.tasks.assemble import Assemble

    check(options)
    targets = read_targets(options.targets, options.limit)
    cells, served, uncut = [], [], Counter[str]()
    for number, structure in enumerate(targets.structures):
        try:
            cells.append(cut_structure(structure).blocks)
            served.append(number)
        except InputError as error:
            uncut[str(error)] += 1
    if not cells:
        raise InputError(f"No target of {options.targets} can be cut into blocks: {dict(uncut)}.")
    described = targets.described(options.targets.name)
    bench = Run.open("frameworks", options, sampler, described)
    known = False if options.unknown else None
    request = SampleRequest(Assemble(tuple(cells)), steps=options.steps, known=known)
    bench.sampler.check(request)
    drawn = bench.draw(request, range(options.samples * len(cells)))
    rows: list[list[Structure | None]] = [[None] * options.samples for _ in targets.names]
    for index, entry in drawn.items():
        sample, place = divmod(index, len(cells))
        rows[served[place]][sample] = structure_of(entry)
    distances, failed = work(
        bench.folder,
        _PAIRS,
        framework_distances,
        with_targets(rows, targets.structures),
        workers=options.workers,
        timeout=options.timeout,
    )
    nothing = [None] * len(TOLERANCES)
    found = [
        [distances.get(f"{i}-{k}", nothing) for k in range(options.samples)]
        for i in range(len(rows))
    ]
    content = bench.content(
        options.samples,
        uncut=dict(uncut),
        sound=sum(entry["reason"] is None for entry in drawn.values()) / len(drawn),
        results={
            f"stol {stol:g}": {
                f"{count} sample{'s' * (count > 1)}": asdict(Assembled.of(found, count, place))
                for count in sorted({1, options.samples})
            }
            for place, stol in enumerate(TOLERANCES)
        },
        failures=dict(Counter(failed.values())),
        distances=dict(zip(targets.names, found, strict=True)),
    )
    return bench.finish(content, _summary(content), _PAIRS)


BENCHMARK = Benchmark(
    frameworks,
    FrameworksOptions,
    "match rate and RMSE of frameworks assembled from their building blocks",
    ("sampler",),
)


def _summary(content: dict[str, Any]) -> str:
    """A table for people."""
    lines = [
        f"{content['sampler']}: {content['targets']['count']} frameworks from their blocks, "
        f"{content['samples_per_target']} samples each, {content['evaluations_per_sample']} "
        f"network evaluations and {content['seconds']['per_sample']} s per sample"
    ]
    for tolerance, by_count in content["results"].items():
        for count, numbers in by_count.items():
            low, high = numbers["interval"]
            rmse = "-" if numbers["rmse"] is None else f"{numbers['rmse']:.4f}"
            lines.append(
                f"  {tolerance}, {count:9}  match rate {numbers['match_rate']:.4f}  "
                f"[{low:.4f}, {high:.4f}]  RMSE {rmse}"
            )
    lines.append(f"  {100 * content['sound']:.1f} % of the draws have no two atoms on each other")
    lines += [f"  {count} × not cut: {reason}" for reason, count in content["uncut"].items()]
    lines += [f"  {count} × {reason}" for reason, count in content["failures"].items()]
    return "\n".join(lines)
