"""Takes an element out of crystals, puts it back and compares; goes on where it was stopped."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import (
    Benchmark,
    BenchmarkResult,
    PredictionOptions,
)

if TYPE_CHECKING:
    from ase_crysdiff.campaigns.benchmark.base import Prepared, StructureSource
    from ase_crysdiff.campaigns.benchmark.hosts import HostSamples, InpaintTarget
    from ase_crysdiff.campaigns.benchmark.run import Run
    from ase_crysdiff.campaigns.benchmark.targets import Targets
    from ase_crysdiff.conditions.base import Condition

_PAIRS = "pairs"


@dataclass(frozen=True, kw_only=True)
class InpaintOptions(PredictionOptions):
    """Options of `inpaint`.

    Args:
        targets: whole crystals: CSV with a cif column, packed file, ...
        limit: use the first so many targets that have a host only
        remove: take out one of these elements, such as Li-Na; by default the rarest, whichever it
            is
        keep_symmetry: guests on Wyckoff positions of the host's space group or of a subgroup
        range: offer up to twice the true number of guests: the count is found
        jump_length: levels of a resampling jump
        repeats: passes through each stretch of the plan; 1 makes no jumps
        guidance: guide by the energy of this potential
        guidance_scale: 1/(eV/atom)
    """

    targets: Path
    limit: int | None = None
    remove: str | None = None
    range: bool = False
    keep_symmetry: bool = False
    jump_length: int = 10
    repeats: int = 1
    guidance: str | None = None
    guidance_scale: float = 1.0
    output: Path = Path("inpaint.json")


def inpaint(
    options: InpaintOptions,
    sampler: "StructureSource",
    prepare: "Callable[..., Prepared]",
    guidance: "Callable[[str, float], Condition]",
) -> BenchmarkResult:
    """How many crystals are rebuilt after one of their elements is taken out.

    First draws only, nothing redrawn or dropped. What is drawn and compared is kept at once, so
    that a killed run goes on where it was.

    Args:
        options: What is asked for.
        sampler: Fills hosts.
        prepare: Turns `check` of the sampler, a host and guests, and the keywords `jump_length`,
            `repeats`, `keep_symmetry`, `conditions` and `steps` into a request, such as
            `pymatgen_ext.inpainting.prepare`.
        guidance: Makes a condition of the name of a potential and a scale in 1/(eV/atom), such as
            `pymatgen_ext.EnergyGuidance`.

    Returns:
        `reconstructed` with 1 … k samples, `rmse`, `exact_count` of guests, `group_kept` (share of
        the reconstructed whose nearest sample has the original's space group at 0.1 Å), the largest
        displacement of a host atom (Å) and `least_distances` by target.

    Raises:
        InputError: If an option makes no sense, no target can be taken apart, or the folder of
            `keep` holds a run with other settings.
    """
    from ase_crysdiff.campaigns.benchmark.hosts import fill, removable_elements, select
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.run import DRAWS, Run, check
    from ase_crysdiff.campaigns.benchmark.targets import read_targets

    check(options)
    scale = options.guidance_scale
    conditions = () if options.guidance is None else (guidance(options.guidance, scale),)
    targets, hosts = select(
        read_targets(options.targets, None), removable_elements(options.remove), options.limit
    )
    names = ("steps", "remove", "range", "jump_length", "repeats", "guidance")
    more = {
        "guests": Counter(host.guest for host in hosts),
        **{name: getattr(options, name) for name in names},
        "guidance_scale": scale if options.guidance else None,
        **({"keep_symmetry": True} if options.keep_symmetry else {}),
    }
    described = targets.described(options.targets.name)
    bench = Run.open("inpaint", options, sampler, described, more)

    def ask(host: "InpaintTarget") -> "Prepared":
        offered = (0, 2 * host.count) if options.range else host.count
        return prepare(
            sampler.check,
            host.host,
            {host.guest: offered},
            keep_symmetry=options.keep_symmetry,
            jump_length=options.jump_length,
            repeats=options.repeats,
            conditions=conditions,
            steps=options.steps,
        )

    samples = fill(bench, hosts, targets.names, options.samples, ask)
    reasons = Counter(e["reason"] for e in samples.entries if e["reason"] is not None)
    bench.facts = {
        "evaluations_per_sample": sorted(samples.evaluations),
        "refused_targets": samples.refused,
        "rejections": dict(reasons),
        "seconds_per_sample": _mean([e["seconds"] for e in samples.entries]),
        "machine": machine(bench.spec.device),
    }
    pairs = _compared(bench, samples, targets, options)
    scores = _scores(pairs, samples, hosts, options.samples)
    kept = _groups_kept(scores["least_distances"], pairs, samples, targets)
    content = bench.content(options.samples, **scores, group_kept=kept)
    return bench.finish(content, summary(content), DRAWS, _PAIRS)


BENCHMARK = Benchmark(
    inpaint,
    InpaintOptions,
    "crystals rebuilt after one element is taken out",
    ("sampler", "prepare", "guidance"),
)


def _compared(
    bench: "Run", samples: "HostSamples", targets: "Targets", options: InpaintOptions
) -> dict[tuple[int, int], tuple[float | None, str | None]]:
    """Distance and failure of every pair (target, sample) that there is."""
    from ase_crysdiff.campaigns.benchmark.hosts import same
    from ase_crysdiff.campaigns.work import work

    drawn = {f"{e['target']}-{e['sample']}-{e['weights']}": e for e in samples.entries}
    tasks = [
        [(key, (samples.structures[e["target"]][e["sample"]], targets.structures[e["target"]]))]
        for key, e in drawn.items()
    ]
    values, failed = work(
        bench.folder, _PAIRS, same, tasks, workers=options.workers, timeout=options.timeout
    )
    found = {key: (distance, failure) for key, (distance, failure) in values.items()}
    found |= {key: (None, reason) for key, reason in failed.items()}
    return {(e["target"], e["sample"]): found[key] for key, e in drawn.items()}


def _scores(
    pairs: dict[tuple[int, int], tuple[float | None, str | None]],
    answers: "HostSamples",
    hosts: Sequence["InpaintTarget"],
    samples: int,
) -> dict[str, Any]:
    """Rates of reconstruction with 1 … k samples, distances, counts of guests, displacement of the
    hosts.
    """
    rows = [[pairs.get((i, s), (None, None))[0] for s in range(samples)] for i in range(len(hosts))]
    sizes = sorted({n for n in (1, 2, 5, 10, 20, 50, 100) if n < samples} | {samples})
    best = [min((d for d in row if d is not None), default=None) for row in rows]
    offset = [
        len(e["species"]) - len(hosts[e["target"]].host) - hosts[e["target"]].count
        for e in answers.entries
        if e["sample"] == 0
    ]
    exact = [False] * (len(hosts) - len(offset)) + [
        o == 0 for o in offset
    ]  # what was refused has no right count
    return {
        "reconstructed": {
            n: _rate([any(d is not None for d in row[:n]) for row in rows]) for n in sizes
        },
        "rmse": _mean([d for d in best if d is not None]),
        "exact_count": _rate(exact),
        "mean_count_error": _mean([float(abs(o)) for o in offset]),
        "largest_host_displacement": max(
            (e["displacement"] for e in answers.entries), default=None
        ),
        "failures": dict(Counter(failure for _, failure in pairs.values() if failure is not None)),
        "matcher": {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0},
        "least_distances": best,
    }


def _groups_kept(
    best: Sequence[float | None],
    pairs: dict[tuple[int, int], tuple[float | None, str | None]],
    samples: "HostSamples",
    targets: "Targets",
) -> dict[str, Any] | None:
    """How many of the reconstructed crystals have the space group of the original, each the sample
    that is nearest to it; None if there is none.
    """
    from ase_crysdiff.metrics.space_groups import Symmetry, symmetries

    nearest = {
        i: next(s for (target, s), (d, _) in pairs.items() if target == i and d == distance)
        for i, distance in enumerate(best)
        if distance is not None
    }
    rebuilt = symmetries([samples.structures[i][s] for i, s in nearest.items()], ())
    original = symmetries([targets.structures[i] for i in nearest], ())
    groups = [
        [s.group if isinstance(s, Symmetry) else None for s in found]
        for found in (rebuilt, original)
    ]
    verdicts = [a is not None and a == b for a, b in zip(*groups, strict=True)]
    return _rate(verdicts) if verdicts else None


def _rate(verdicts: Sequence[bool]) -> dict[str, Any]:
    from ase_crysdiff.metrics.base import rate

    found = rate(verdicts, {}, {}).as_plain()
    return {name: found[name] for name in ("value", "interval")}


def _mean(values: Sequence[float]) -> float | None:
    finite = [v for v in values if math.isfinite(v)]
    return round(sum(finite) / len(finite), 6) if finite else None


def summary(content: dict[str, Any]) -> str:
    """A table for people."""
    lines = [
        f"{content['sampler']}: {content['targets']['count']} hosts, "
        f"{content['samples_per_target']} samples each, "
        f"{content['evaluations_per_sample']} network evaluations and "
        f"{content['seconds_per_sample']} s per sample"
    ]
    rates = {f"reconstructed with {n}": r for n, r in content["reconstructed"].items()} | {
        "exact count": content["exact_count"]
    }
    if content["group_kept"] is not None:
        rates["space group kept"] = content["group_kept"]
    for name, r in rates.items():
        lines.append(
            f"  {name:22} {r['value']:.4f}  [{r['interval'][0]:.4f}, {r['interval'][1]:.4f}]"
        )
    lines.append(
        f"  rmse {content['rmse']}, largest displacement of a host atom "
        f"{content['largest_host_displacement']} Å"
    )
    counts = {
        **content["failures"],
        **{
            "refused: " + reason: len(names) for reason, names in content["refused_targets"].items()
        },
    }
    return "\n".join([*lines, *(f"  {count} × {reason}" for reason, count in counts.items())])
