"""Predicts the cell of every target from its composition and compares; goes on where it was
stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ase_crysdiff.campaigns.benchmark.base import (
    Benchmark,
    BenchmarkResult,
    CompositionOptions,
)
from ase_crysdiff.crystal.convert import copy_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.campaigns.benchmark.base import StructureSource
    from ase_crysdiff.campaigns.benchmark.targets import Targets
    from ase_crysdiff.metrics.match_rate import Comparison

_PAIRS, _RERANKED = "pairs", "reranked"


@dataclass(frozen=True, kw_only=True)
class CspOptions(CompositionOptions):
    """Options of `csp`.

    Args:
        targets: true structures: CSV with a cif column, packed file, ...
        given: what the sampler is told of a target: composition, group (also the true space group)
            or scaffold (also the true sites); all but the first are no predictions
        library: crystals whose prototypes count as known, in place of those of the shipped
            prototypes
        limit: use the first so many targets only
        metre: also compare with all other targets of the same composition
        rerank: potential in which the samples of a target are relaxed and ordered anew, by energy
            and the sampler's order
    """

    targets: Path
    given: str = "composition"
    library: Path | None = None
    limit: int | None = None
    metre: bool = False
    rerank: str | None = None
    output: Path = Path("csp.json")


def csp(options: CspOptions, sampler: "StructureSource") -> BenchmarkResult:
    """Match rate and RMSE of structures predicted for the compositions of known crystals.

    First draws only, nothing redrawn or dropped. What is drawn, relaxed and compared is kept at
    once, so that a killed run goes on where it was.

    Args:
        options: What is asked for.
        sampler: Predicts structures of given compositions.

    Returns:
        `given`; `results` (match rate, RMSE, cRMSE, error of the volume, and the rates of DiffCSP's
        filter); `curve` over the number of samples, of ranked candidates or of draws as `curve_of`
        says, also `by_free_coordinates` and `by_prototype`; `failures` by reason and
        `least_distances` by target.

    Raises:
        IncompatibleError: If the sampler takes no composition, or no symmetry where that is given.
        InputError: If an option makes no sense, a target cannot be used, or the folder of `keep`
            holds a run with other settings.
        MissingExtraError: If SMACT is not installed.
    """
    from ase_crysdiff.campaigns.benchmark.comparing import compare_missing
    from ase_crysdiff.campaigns.benchmark.given import (
        SCAFFOLDS,
        check_given,
        scaffolds_of,
        told_of,
    )
    from ase_crysdiff.campaigns.benchmark.library import (
        LIBRARY,
        prototypes_of,
        read_crystals,
        shipped_prototypes,
    )
    from ase_crysdiff.campaigns.benchmark.reranking import reranked
    from ase_crysdiff.campaigns.benchmark.results import results, summary
    from ase_crysdiff.campaigns.benchmark.run import Run, check
    from ase_crysdiff.campaigns.benchmark.targets import read_targets
    from ase_crysdiff.metrics.composition import is_neutral
    from ase_crysdiff.potentials.loading import load_potential

    check(options)
    check_given(options.given)
    is_neutral(
        (("Cl", 1), ("Na", 1))
    )  # needs SMACT: better to say so now than after a night of sampling
    targets = read_targets(options.targets, options.limit)
    crystals = None if options.library is None else read_crystals(options.library)
    judge = None if options.rerank is None else load_potential(options.rerank)
    more = {"given": options.given} | ({} if judge is None else {"rerank": judge.name})
    # More samples come in between those that were ranked, and what was compared is another.
    journals = (
        [_PAIRS] if judge is None else [f"{n}-{options.samples}" for n in (_PAIRS, _RERANKED)]
    )
    bench = Run.on_targets("csp", options, sampler, targets, options.targets.name, more)
    workers, timeout = options.workers, options.timeout
    scaffolds = scaffolds_of(bench.folder, targets, workers=workers, timeout=timeout)
    library = shipped_prototypes()
    if options.library is not None and crystals is not None:
        library = prototypes_of(
            bench.folder, options.library.name, crystals, workers=workers, timeout=timeout
        )
    told = told_of(options.given, targets, scaffolds)
    rows = bench.predict(targets, options.samples, told=told)
    if judge is not None:
        rows = reranked(bench.folder, journals[1], rows, judge, options.seed)
        bench.facts["ranked"] = True
    comparison = compare_missing(bench, journals[0], rows, targets, options)
    numbers = results(
        comparison,
        rows,
        targets,
        scaffolds,
        library=library,
        ranked=bench.facts["ranked"],
        with_metre=options.metre,
        workers=workers,
        timeout=timeout,
    )
    content = bench.content(options.samples, **numbers)
    if options.keep is not None:
        _keep(options.keep, comparison, rows, targets)
    return bench.finish(content, summary(content), SCAFFOLDS, LIBRARY, *journals)


BENCHMARK = Benchmark(
    csp, CspOptions, "match rate and RMSE of structures predicted for compositions", ("sampler",)
)


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
    true = [copy_of(s) for s in targets.structures]
    for name, structure in zip(targets.names, true, strict=True):
        structure.properties = {"target": name}
    write(predictions, {}, folder / "predictions.extxyz")
    write(true, {}, folder / "targets.extxyz")
