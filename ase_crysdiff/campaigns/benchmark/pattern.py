"""Which candidate of a composition is it, given a powder pattern of the true one?"""

from collections.abc import Mapping, Sequence
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
    from ase_crysdiff.metrics.match_rate import Comparison

_PAIRS, _RERANKED, _FITS = "pairs", "reranked", "fits"


@dataclass(frozen=True, kw_only=True)
class PatternOptions(CompositionOptions):
    """Options of `pattern`.

    Args:
        targets: true structures: CSV with a cif column, packed file, ...
        limit: use the first so many targets only
        rerank: potential in which the candidates are relaxed and ordered before they are fitted
        wavelength: of the simulated patterns, Å
        first_angle: where they begin, degrees
        last_angle: where they end, degrees
        noise: standard deviation of a point, as a share of the highest peak
        background: its height at the first angle, as a share of the highest peak
        least_width: least width of the peaks, degrees; each target's is drawn
        largest_width: largest width of the peaks, degrees
        fit_timeout: processor seconds for the candidates of one target
    """

    targets: Path
    limit: int | None = None
    samples: int = 20
    rerank: str | None = None
    wavelength: float = 1.5406
    first_angle: float = 10.0
    last_angle: float = 80.0
    noise: float = 0.01
    background: float = 0.2
    least_width: float = 0.1
    largest_width: float = 0.3
    fit_timeout: float = 300.0
    output: Path = Path("pattern.json")


def pattern(options: PatternOptions, sampler: "StructureSource") -> BenchmarkResult:
    """How often the right structure comes first when candidates are ranked by a powder pattern.

    A pattern of every target is simulated, its width and noise drawn by `seed`. The candidates of
    its composition are fitted and ranked by it. What is drawn, compared and fitted is kept at once.

    Args:
        options: What is asked for.
        sampler: Predicts structures of given compositions.

    Returns:
        `results`: rates of targets whose first candidate is right, without and with the pattern,
        and of those with a right one among all; of the verdict that one fits, where a right one is
        among them, where none is, and with the right ones left out. `targets_in_detail`: one entry
        for each.

    Raises:
        IncompatibleError: If the sampler takes no composition.
        InputError: If an option makes no sense, a target cannot be used, or the folder of `keep`
            holds a run with other settings.
    """
    from ase_crysdiff.campaigns.benchmark.comparing import compare_missing
    from ase_crysdiff.campaigns.benchmark.reranking import reranked
    from ase_crysdiff.campaigns.benchmark.run import Run, check
    from ase_crysdiff.campaigns.benchmark.targets import read_targets
    from ase_crysdiff.campaigns.work import work
    from ase_crysdiff.potentials.loading import load_potential

    check(options)
    _check(options)
    targets = read_targets(options.targets, options.limit)
    judge = None if options.rerank is None else load_potential(options.rerank)
    more: dict[str, Any] = {"pattern": _pattern_settings(options)}
    more |= {} if judge is None else {"rerank": judge.name}
    # What is ranked with others, or in another place, is ranked otherwise.
    pairs, fits, order = (f"{name}-{options.samples}" for name in (_PAIRS, _FITS, _RERANKED))
    bench = Run.on_targets("pattern", options, sampler, targets, options.targets.name, more)
    rows: Sequence[Sequence[Structure | None]] = bench.predict(targets, options.samples)
    if judge is not None:
        rows = reranked(bench.folder, order, rows, judge, options.seed)
    comparison = compare_missing(bench, pairs, rows, targets, options)
    found, failed = work(
        bench.folder,
        fits,
        ranked_by_simulated_pattern,
        _tasks(rows, targets, comparison, options),
        workers=options.workers,
        timeout=options.fit_timeout,
    )
    details = _details(targets, comparison, found)
    numbers = {"results": _results(details), "failures": failed, "targets_in_detail": details}
    content = bench.content(options.samples, **numbers)
    return bench.finish(content, _summary(content), pairs, fits, order)


BENCHMARK = Benchmark(
    pattern, PatternOptions, "structures recognised by their powder patterns", ("sampler",)
)


def _check(options: PatternOptions) -> None:
    """Refuses patterns that cannot be simulated.

    Raises:
        InputError: If a setting makes no sense.
    """
    from ase_crysdiff.arguments import above_zero, not_negative
    from ase_crysdiff.diffraction.radiation import radiation
    from ase_crysdiff.errors import InputError

    radiation(options.wavelength)
    not_negative("noise", options.noise)
    not_negative("background", options.background)
    above_zero("fit-timeout", options.fit_timeout, "seconds")
    angles = 0.0, options.first_angle, options.last_angle, 180.0
    widths = 0.0, options.least_width, options.largest_width, 2.0
    for name, numbers in (("angles", angles), ("widths", widths)):
        low, first, last, high = numbers
        if not (low < first <= last < high and (name == "widths" or first < last)):
            raise InputError(
                f"{name} of the patterns must ascend between {low:g} and {high:g} degrees, got "
                f"{first:g} and {last:g}."
            )


def _pattern_settings(options: PatternOptions) -> dict[str, float]:
    names = "wavelength", "first_angle", "last_angle", "noise", "background"
    return {name: getattr(options, name) for name in (*names, "least_width", "largest_width")}


def _tasks(
    rows: "Sequence[Sequence[Structure | None]]",
    targets: "Targets",
    comparison: "Comparison",
    options: PatternOptions,
) -> "list[list[WorkItem]]":
    """What has to be known of each target to fit its candidates."""
    settings, tasks = _pattern_settings(options), []
    for i, (row, target) in enumerate(zip(rows, targets.structures, strict=True)):
        right = [pair.distance is not None for pair in comparison.pairs[i]]
        kept = [(s, r) for s, r in zip(row, right, strict=True) if s is not None]
        tasks.append([(str(i), (target, kept, settings, (options.seed, i)))])
    return tasks


def ranked_by_simulated_pattern(
    task: "tuple[Structure, list[tuple[Structure, bool]], Mapping[str, float], tuple[int, int]]",
) -> dict[str, Any]:
    """What a pattern of the true structure says of the candidates, and of the wrong ones alone.

    Args:
        task: The true structure; candidates, each with whether it is right; settings of the
            pattern; and its seed.
    """
    import time

    import numpy as np

    from ase_crysdiff.diffraction.fitting import fit_pattern
    from ase_crysdiff.diffraction.ranking import rank_by_pattern
    from ase_crysdiff.diffraction.simulation import simulate_pattern
    from ase_crysdiff.relaxation.ranking import surprise

    target, candidates, settings, seed = task
    rng = np.random.default_rng(seed)
    width = float(rng.uniform(settings["least_width"], settings["largest_width"]))
    measured = simulate_pattern(
        target,
        wavelength=settings["wavelength"],
        two_theta=(settings["first_angle"], settings["last_angle"]),
        width=width,
        noise=settings["noise"],
        background=settings["background"],
        rng=rng,
    )
    started = time.perf_counter()
    structures = [structure for structure, _ in candidates]
    fits = fit_pattern(structures, measured)
    energies = [s.properties.get("crysdiff_energy_per_atom") for s in structures]
    surprises = [surprise(structure) for structure in structures]
    ranking = rank_by_pattern(fits, energies, surprises)
    seconds = time.perf_counter() - started
    wrong = [i for i, (_, right) in enumerate(candidates) if not right]
    among_wrong = rank_by_pattern(
        [fits[i] for i in wrong], [energies[i] for i in wrong], [surprises[i] for i in wrong]
    )
    return {
        "width": round(width, 4),
        "order": [fit.index for fit in ranking.fits],
        "right": [candidates[fit.index][1] for fit in ranking.fits],
        "misfits": [round(fit.residual, 4) for fit in ranking.fits],
        "fits": ranking.fits_pattern,
        "fits_without_right": among_wrong.fits_pattern if wrong else None,
        "seconds": round(seconds, 3),
    }


def _details(
    targets: "Targets", comparison: "Comparison", found: Mapping[str, Any]
) -> list[dict[str, Any]]:
    return [
        {
            "target": name,
            "first": bool(row) and row[0].distance is not None,
            "among": any(pair.distance is not None for pair in row),
            **found.get(str(i), {}),
        }
        for i, (name, row) in enumerate(zip(targets.names, comparison.pairs, strict=True))
    ]


def _results(details: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rates with their intervals, and seconds."""
    import numpy as np

    from ase_crysdiff.metrics.base import rate

    present = [one for one in details if one["among"]]
    absent = [one for one in details if not one["among"]]
    without = [one for one in details if one.get("fits_without_right") is not None]
    verdicts = {
        "right first without the pattern": [one["first"] for one in details],
        "right first with the pattern": [
            bool(one.get("right", [])[:1] == [True]) for one in details
        ],
        "right one among them": [one["among"] for one in details],
        "one fits, right one among them": [bool(one.get("fits")) for one in present],
        "one fits, none is right": [bool(one.get("fits")) for one in absent],
        "one fits, right ones left out": [one["fits_without_right"] for one in without],
    }
    rates = {name: rate(values, {}, {}).as_plain() for name, values in verdicts.items() if values}
    seconds = [one["seconds"] for one in details if "seconds" in one]
    return {**rates, "seconds for a pattern": _quantiles(np.array(seconds))}


def _quantiles(seconds: Any) -> dict[str, float]:
    import numpy as np

    if not len(seconds):
        return {}
    quantiles = np.percentile(seconds, [50, 95, 100]).round(3).tolist()
    return dict(zip(("median", "95 %", "largest"), quantiles, strict=True))


def _summary(content: Mapping[str, Any]) -> str:
    """A table for people."""
    lines = [
        f"{content['sampler']}: {content['targets']['count']} targets, "
        f"{content['samples_per_target']} candidates each"
    ]
    for name, result in content["results"].items():
        if "value" not in result:
            shown = ", ".join(f"{key} {value:g}" for key, value in result.items())
            lines.append(f"  {name:34} {shown}")
            continue
        low, high = result["interval"]
        lines.append(f"  {name:34} {result['value']:.4f}  [{low:.4f}, {high:.4f}]")
    lines += [f"  {len(content['failures'])} failed"] if content["failures"] else []
    return "\n".join(lines)
