"""Whether wished crystals are what was wished, judged by somebody who has not helped to choose."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult, DrawingOptions

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.campaigns.benchmark.base import StructureSource
    from ase_crysdiff.campaigns.benchmark.run import Run
    from ase_crysdiff.metrics.base import MetricResult
    from ase_crysdiff.predictors.base import Predictor

#: The row that all others are compared with, and the metrics of stability that every row keeps.
FREE, KEPT = "unconditional", ("uniqueness", "novelty", "metastability", "sun", "msun")


@dataclass(frozen=True, kw_only=True)
class ConditionalOptions(DrawingOptions):
    """Options of `conditional`.

    Args:
        num_samples: crystals of every row
        property: name of the property that the sampler is told, such as band_gap
        window: the smaller and the larger number, in the judge's unit
        judge: predictor that says what was drawn: its name or folder
        guide: another predictor, which filters and steers; default neither
        guidance_weights: weights of the conditional rows
        population: candidates of a steered crystal; 0 steers nothing
        training: packed training crystals, for novelty; default fingerprints of those shipped
        potential: relaxes the draws, for their stability
        hull: table of formation energies beside a potential: a CSV file, or shipped
    """

    num_samples: int = 200
    property: str
    window: tuple[float, ...]
    judge: str | Path
    guide: str | None = None
    guidance_weights: tuple[float, ...] = (1.0, 2.0)
    population: int = 0
    training: Path | None = None
    potential: str | None = None
    hull: str = "shipped"
    output: Path = Path("conditional.json")


@dataclass(frozen=True)
class Row:
    """One way to draw.

    Args:
        structures: One for each index; None for a draw that no user would be given.
        cost: What a crystal costs, in network evaluations of an unconditional one.
    """

    structures: "Sequence[Structure | None]"
    cost: float


def conditional(
    options: ConditionalOptions,
    sampler: "StructureSource",
    evaluate: "Callable[..., Mapping[str, MetricResult]]",
) -> BenchmarkResult:
    """Share of first draws whose property, by an independent judge, lies in a window: drawn freely,
    told the window, steered by a guide, and chosen by the guide among free draws of equal cost.

    Nothing is redrawn or dropped: a draw that no user would be given, or that the judge cannot
    judge, counts as a miss. What is drawn is kept at once, so that a killed run goes on where it
    was.

    Args:
        options: What is asked for.
        sampler: Finds compositions itself. Rows of what it was not conditioned on are left out.
        evaluate: Structures and `reference=` known crystals -> metrics by name, such as
            `pymatgen_ext.evaluate`.

    Returns:
        `rows`: of each way its cost, the share in the window, how many times that of free draws,
        and what is kept of uniqueness, novelty and stability; all with intervals.

    Raises:
        IncompatibleError: If the sampler cannot draw without a composition.
        InputError: If the guide is the judge, the units of window and judge differ, there is
            nothing to compare, or the folder of `keep` holds a run with other settings.
    """
    from ase_crysdiff.campaigns.benchmark.run import Run, check
    from ase_crysdiff.predictors.loading import load_predictor

    check(options)
    judge = load_predictor(options.judge)
    guide = None if options.guide is None else load_predictor(options.guide)
    _check(options, judge, guide)
    names = ("property", "window", "judge", "guide", "population")
    more = {
        **{n: getattr(options, n) for n in names},
        "judge": str(options.judge),
        "judge_version": judge.version,
    }
    bench = Run.open("conditional", options, sampler, more=more)
    drawn = _rows(bench, options, guide)
    shares = {name: _share(row, judge, options) for name, row in drawn.items()}
    rows = {
        name: {
            "cost": row.cost,
            "share": shares[name].as_plain(),
            "times": _times(shares[FREE], shares[name]).as_plain(),
            **_kept(row, options, evaluate),
        }
        for name, row in drawn.items()
    }
    content = bench.content(1, draws=options.num_samples, unit=judge.unit, rows=rows)
    return bench.finish(content, _table(rows, options, judge), *bench.journals)


def _check(options: ConditionalOptions, judge: "Predictor", guide: "Predictor | None") -> None:
    from ase_crysdiff.crystal.properties import is_window
    from ase_crysdiff.data.property_columns import LABELS
    from ase_crysdiff.errors import InputError

    if not is_window(tuple(options.window)):
        raise InputError(
            f"--window takes two numbers, the smaller one first, got {options.window}."
        )
    if guide is not None and guide.version == judge.version:
        raise InputError(
            f"{options.guide} cannot judge what it has chosen. Give another --judge, such as a "
            "predictor trained on other data by another encoder."
        )
    unit = LABELS[options.property][0] if options.property in LABELS else judge.unit
    for predictor in (judge, guide):
        if predictor is not None and predictor.unit != unit:
            raise InputError(
                f"{predictor.card.name} predicts in {predictor.unit}, and {options.property} is "
                f"told in {unit}: one window cannot serve both. Give another predictor."
            )
    if options.population and guide is None:
        raise InputError("A population is steered by a predictor. Give --guide.")


def _some(ways: Mapping[str, Any], options: ConditionalOptions, bench: "Run") -> None:
    """Refuses to compare free draws with nothing."""
    from ase_crysdiff.crystal.properties import listed
    from ase_crysdiff.errors import IncompatibleError

    if len(ways) == 1:
        known = listed(list(bench.sampler.capabilities.properties.values()))
        raise IncompatibleError(
            f"{bench.sampler.name!r} was not conditioned on {options.property}; it takes {known}. "
            "Fine-tune it (crysdiff finetune-sampler), or steer it: --guide, --population."
        )


def _rows(bench: "Run", options: ConditionalOptions, guide: "Predictor | None") -> dict[str, Row]:
    """Every way to draw that the sampler and the options allow."""
    from ase_crysdiff.predictors.steering import PropertySteering
    from ase_crysdiff.sampling.request import SampleRequest

    free = SampleRequest(steps=options.steps)
    bench.sampler.check(free)
    window = (float(options.window[0]), float(options.window[1]))
    ways: dict[str, tuple[SampleRequest, float]] = {FREE: (free, 1.0)}
    if options.property in bench.sampler.capabilities.properties:
        for weight in options.guidance_weights:
            wish = {options.property: window}
            request = SampleRequest(steps=options.steps, properties=wish, guidance_weight=weight)
            bench.sampler.check(request)
            ways[f"told, weight {weight:g}"] = (request, _cost(bench, request, free))
    if options.population and options.guide is not None:
        steering = PropertySteering(options.guide, window, options.population)
        request = SampleRequest(steps=options.steps, conditions=(steering,))
        ways[f"steered by {options.guide}, {options.population} candidates"] = (
            request,
            float(options.population),
        )
    _some(ways, options, bench)
    found = {
        name: Row(_drawn(bench, request, options.num_samples, f"draws-{k}"), cost)
        for k, (name, (request, cost)) in enumerate(ways.items())
    }
    for cost in sorted({round(cost) for _, cost in ways.values() if cost > 1}):
        if guide is not None:
            many = _drawn(bench, free, cost * options.num_samples, "draws-0")
            chosen = _nearest(many, cost, guide, window)
            found[f"best of {cost} by {options.guide}"] = Row(chosen, float(cost))
    return found


def _cost(bench: "Run", request: Any, free: Any) -> float:
    """Network evaluations of a request in those of a free draw."""
    own, plain = bench.sampler.evaluations(request), bench.sampler.evaluations(free)
    return 1.0 if not own or not plain else own / plain


def _drawn(bench: "Run", request: Any, count: int, journal: str) -> "list[Structure | None]":
    """First draws as a user would be given them."""
    from ase_crysdiff.campaigns.benchmark.denovo import accepted

    drawn = bench.draw(request, range(count), journal)
    return [accepted(drawn[i]) for i in range(count)]


def _nearest(
    structures: "Sequence[Structure | None]",
    count: int,
    guide: "Predictor",
    window: tuple[float, float],
) -> "list[Structure | None]":
    """Of every so many structures the one nearest to the window by the guide, the first of equals;
    what it cannot judge comes last.
    """
    import numpy as np

    values = _values(structures, guide)
    distance = np.maximum(window[0] - values, 0) + np.maximum(values - window[1], 0)
    distance = np.where(np.isnan(distance), np.inf, distance).reshape(-1, count)
    best = distance.argmin(1) + count * np.arange(len(distance))
    return [structures[i] for i in best.tolist()]


def _values(structures: "Sequence[Structure | None]", predictor: "Predictor") -> Any:
    """Predicted numbers, NaN where there is none."""
    import numpy as np

    from ase_crysdiff.errors import InputError
    from ase_crysdiff.predictors.structures import predict_structures

    found = np.full(len(structures), np.nan)
    there = {i: s for i, s in enumerate(structures) if s is not None}
    with suppress(InputError):  # none of them can be judged: all are misses
        if there:
            values = predict_structures(predictor, list(there.values()), False).values
            found[list(there)] = values.numpy()
    return found


def _share(row: Row, judge: "Predictor", options: ConditionalOptions) -> "MetricResult":
    """The share in the window by the judge."""
    from ase_crysdiff.metrics.base import rate

    values, (low, high) = _values(row.structures, judge), options.window
    inside = [bool(low <= value <= high) for value in values.tolist()]
    failures = {i: "no value" for i, value in enumerate(values.tolist()) if value != value}
    return rate(inside, failures, {"judge": options.judge, "window": list(options.window)})


def _times(free: "MetricResult", other: "MetricResult", resamples: int = 1000) -> "MetricResult":
    """How many times a share is that of free draws, with a bootstrap interval; shares of nothing
    are counted with half a hit.
    """
    import numpy as np

    from ase_crysdiff.metrics.base import MetricResult

    first, second = (np.array(r.per_structure, dtype=float) for r in (free, other))
    generator = np.random.default_rng(0)

    def ratio(a: Any, b: Any) -> float:
        return float(max(b.sum(), 0.5) / len(b) / (max(a.sum(), 0.5) / len(a)))

    drawn = [
        ratio(generator.choice(first, len(first)), generator.choice(second, len(second)))
        for _ in range(resamples)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    settings = {"resamples": resamples}
    return MetricResult(ratio(first, second), (float(low), float(high)), settings=settings)


def _kept(
    row: Row, options: ConditionalOptions, evaluate: "Callable[..., Mapping[str, MetricResult]]"
) -> dict[str, Any]:
    """Uniqueness, novelty and, with a potential, stability."""
    from ase_crysdiff.data.packed import PackedCrystals

    known = "shipped" if options.training is None else PackedCrystals.load(options.training)
    hull = None if options.potential is None else options.hull
    found = evaluate(
        list(row.structures),
        reference=known,
        hull=hull,
        potential=options.potential,
        workers=options.workers,
    )
    return {name: found[name].as_plain() for name in KEPT if name in found}


def _table(
    rows: Mapping[str, Mapping[str, Any]], options: ConditionalOptions, judge: "Predictor"
) -> str:
    """Rows for people."""
    kept = [name for name in KEPT if name in rows[FREE]]
    low, high = options.window
    title = f"{options.property} in {low:g} to {high:g} {judge.unit} by {options.judge}"
    lines = [
        f"{title} ({options.num_samples} draws each)",
        f"{'':34} {'cost':>5} {'share':>24} {'times':>22} " + " ".join(f"{n:>13}" for n in kept),
    ]
    for name, row in rows.items():
        share, times = _shown(row["share"], 100.0, " %"), _shown(row["times"])
        others = " ".join(f"{_shown(row[n], 100.0, ' %').split(' [')[0]:>13}" for n in kept)
        lines.append(f"{name:34} {row['cost']:5.3g} {share:>24} {times:>22} {others}")
    return "\n".join(lines)


def _shown(result: Mapping[str, Any], factor: float = 1.0, unit: str = "") -> str:
    if result["value"] is None:
        return "-"
    low, high = (factor * x for x in result["interval"])
    return f"{factor * result['value']:.1f}{unit} [{low:.1f}, {high:.1f}]"


BENCHMARK = Benchmark(
    conditional,
    ConditionalOptions,
    "share of wished crystals that are what was wished",
    ("sampler", "evaluate"),
)
