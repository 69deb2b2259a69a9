"""The same draws with and without energy guidance, judged by another potential.

The judge must not be the guiding potential: a sampler that is led by an energy finds the faults of
that energy, too.
"""

import math
from collections.abc import Callable, Sequence
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
    from ase_crysdiff.campaigns.benchmark.run import Run
    from ase_crysdiff.conditions.base import Condition
    from ase_crysdiff.metrics.base import MetricResult
    from ase_crysdiff.metrics.hull import Hull
    from ase_crysdiff.potentials.base import Potential

#: Up to here a crystal counts as stable, eV/atom.
STABLE = 0.08
_WAYS = ("unguided", "guided")


@dataclass(frozen=True, kw_only=True)
class GuidanceOptions(CompositionOptions):
    """Options of `guided_and_unguided`.

    Args:
        targets: true structures, for compositions and match rates
        limit: use the first so many targets only
        hull: CSV with reduced_formula and hull_energy_per_atom
        guide: potential that guides
        scale: guidance scale, 1/(eV/atom)
        judge: potential that scores
        fmax: force that may remain after relaxing, eV/Å
        relax_steps: steps at most; 0 scores single points only
    """

    targets: Path
    limit: int = 200
    hull: Path
    guide: str = "dao-p"
    scale: float = 1.0
    judge: str = "chgnet"
    fmax: float = 0.1
    relax_steps: int = 200
    output: Path = Path("guidance.json")


def guided_and_unguided(
    options: GuidanceOptions,
    sampler: "StructureSource",
    guidance: "Callable[[str, float], Condition]",
) -> BenchmarkResult:
    """Energies above the hull and match rates of the same draws with and without energy guidance.

    Draws twice with the same seed, scores every draw as it is and relaxed, and compares pair by
    pair. First draws only, nothing redrawn or dropped.

    Args:
        options: What is asked for.
        sampler: Predicts structures of given compositions.
        guidance: Makes the condition of the name of a potential and a scale in 1/(eV/atom), such as
            `pymatgen_ext.EnergyGuidance`.

    Returns:
        `results`: match rates, and for `single_point` and `relaxed` the mean energy above the hull
        (eV/atom) and the share of stable crystals; each unguided, guided, and their difference
        with a 95 % interval over compositions.

    Raises:
        IncompatibleError: If the sampler takes no composition.
        InputError: If an option makes no sense, the judge is the guide, or the folder of `keep`
            holds a run with other settings.
        UnknownNameError: If there is no potential of a name.
    """
    from ase_crysdiff.campaigns.benchmark.pairs import distance, with_targets
    from ase_crysdiff.campaigns.benchmark.run import Run, check
    from ase_crysdiff.campaigns.benchmark.targets import read_targets
    from ase_crysdiff.campaigns.work import work
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.metrics.hull import Hull
    from ase_crysdiff.potentials.loading import load_potential
    from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options

    check(options)
    check_options(options.fmax, options.relax_steps, "lbfgs", MAX_ATOMS)
    if options.guide == options.judge:
        raise InputError(f"{options.guide} cannot judge what it has guided. Give another --judge.")
    condition = guidance(options.guide, options.scale)
    hull, judge = Hull.read(options.hull), load_potential(options.judge)
    targets = read_targets(options.targets, options.limit)
    names = ("guide", "scale", "judge", "fmax", "relax_steps", "samples")
    more = {**{n: getattr(options, n) for n in names}, "hull": hull.settings}
    bench = Run.on_targets("guidance", options, sampler, targets, options.targets.name, more)
    scores: dict[str, dict[str, list[float]]] = {}
    rates: dict[str, Any] = {}
    for way in _WAYS:
        conditions = (condition,) if way == "guided" else ()
        rows = bench.predict(targets, options.samples, f"draws-{way}", conditions)
        flat = [sample for row in rows for sample in row]
        scores[way] = {"single_point": heights(bench, f"energies-{way}", flat, judge, hull)}
        if options.relax_steps:
            settled = relaxed(bench, f"relaxed-{way}", flat, judge, options)
            scores[way]["relaxed"] = heights(bench, f"relaxed-energies-{way}", settled, judge, hull)
        tasks = with_targets(rows, targets.structures)
        matched, _ = work(
            bench.folder,
            f"pairs-{way}",
            distance,
            tasks,
            workers=options.workers,
            timeout=options.timeout,
        )
        rates[way] = [any(matched.get(key) is not None for key, _ in chunk) for chunk in tasks]
    results = {
        "match_rate": {way: sum(hits) / len(hits) for way, hits in rates.items()}
        | {"difference": paired(rates["unguided"], rates["guided"], 1).as_plain()},
        **{
            kind: compare(scores["unguided"][kind], scores["guided"][kind], options.samples)
            for kind in scores["guided"]
        },
    }
    content = bench.content(options.samples, stable_below=STABLE, results=results)
    journals = [
        f"{name}-{way}"
        for name in ("draws", "energies", "relaxed", "relaxed-energies", "pairs")
        for way in _WAYS
    ]
    return bench.finish(content, _table(results), *journals)


BENCHMARK = Benchmark(
    guided_and_unguided,
    GuidanceOptions,
    "energies with and without energy guidance",
    ("sampler", "guidance"),
)


def heights(
    bench: "Run",
    name: str,
    structures: "Sequence[Structure | None]",
    judge: "Potential",
    hull: "Hull",
) -> list[float]:
    """Energies above the hull, eV/atom; NaN for what is no sound crystal or has no energy.

    The judge's energies of atoms on each other may be low, so these are never asked for.

    Args:
        bench: The run, in whose folder energies are kept.
        name: Of the journal of these energies.
        structures: As drawn; None for a draw that failed.
        judge: What gives energies.
        hull: What they are measured from.
    """
    from ase_crysdiff.campaigns.curation.energies import energies

    sound = _physical(structures)
    found, _ = energies(bench.folder, name, sound, list(sound), judge, hull)
    return [found.get(i, math.nan) for i in range(len(structures))]


def relaxed(
    bench: "Run",
    name: str,
    structures: "Sequence[Structure | None]",
    judge: "Potential",
    options: GuidanceOptions,
) -> "list[Structure | None]":
    """Where the structures come to rest, converged or out of steps; None for what is no sound
    crystal or fails.

    Args:
        bench: The run, in whose folder relaxed structures are kept.
        name: Of the journal of these structures.
        structures: As drawn; None for a draw that failed.
        judge: What relaxes them.
        options: Forces and steps of the relaxation.
    """
    from ase_crysdiff.campaigns.curation.energies import relaxed as relax_all

    sound = _physical(structures)
    found, _ = relax_all(
        bench.folder,
        name,
        sound,
        list(sound),
        judge,
        options.fmax,
        options.relax_steps,
        strict=False,
    )
    return [found.get(i) for i in range(len(structures))]


def _physical(structures: "Sequence[Structure | None]") -> "dict[int, Structure]":
    """Those of which an energy means something, by position."""
    from ase_crysdiff.crystal.soundness import gate, unphysical

    return {
        i: s
        for i, s in enumerate(structures)
        if s is not None and gate(s) is None and unphysical(s) is None
    }


def compare(unguided: Sequence[float], guided: Sequence[float], samples: int) -> dict[str, Any]:
    """Mean energy above the hull over pairs in which both have one, and share of stable crystals
    among all that were drawn.

    Args:
        unguided: Energies above the hull, eV/atom, samples of a composition next to each other; NaN
            where there is none.
        guided: Those of the guided draws from the same noise, in the same order.
        samples: For each composition.
    """
    pairs = [
        (a, b)
        for a, b in zip(unguided, guided, strict=True)
        if not (math.isnan(a) or math.isnan(b))
    ]
    means = [sum(column) / len(pairs) for column in zip(*pairs, strict=True)] or [None, None]
    given = dict(zip(_WAYS, (unguided, guided), strict=True))
    stable = {way: [height <= STABLE for height in found] for way, found in given.items()}
    return {
        "pairs_with_energies": len(pairs),
        "without_energy": {way: sum(map(math.isnan, found)) for way, found in given.items()},
        "mean_above_hull": dict(zip(_WAYS, means, strict=True))
        | {"difference": paired(unguided, guided, samples).as_plain()},
        "stable_share": {way: sum(flags) / len(flags) for way, flags in stable.items()}
        | {"difference": paired(stable["unguided"], stable["guided"], samples).as_plain()},
    }


def paired(
    before: Sequence[float | int], after: Sequence[float | int], samples: int
) -> "MetricResult":
    """Mean of after minus before, with a bootstrap interval over compositions, whose samples stay
    together.

    Pairs in which one has no value are left out, and with them compositions that have no others.

    Args:
        before: Values, samples of a composition next to each other; NaN where there is none.
        after: Their counterparts, in the same order.
        samples: For each composition.
    """
    import numpy as np

    from ase_crysdiff.metrics.base import MetricResult, bootstrap

    changes = (np.asarray(after, dtype=float) - np.asarray(before, dtype=float)).reshape(
        -1, samples
    )
    means = [float(row[np.isfinite(row)].mean()) for row in changes if np.isfinite(row).any()]
    if not means:
        return MetricResult(math.nan, (math.nan, math.nan))
    interval = bootstrap(lambda a: float(a.mean()), means, 1000)
    return MetricResult(
        float(np.mean(means)), interval, settings={"compositions": len(means), "resamples": 1000}
    )


def _table(results: dict[str, Any]) -> str:
    lines = [f"{'':32} {'unguided':>9} {'guided':>9} {'difference':>11}  95 % interval"]
    rows = {"match rate": results["match_rate"]}
    for kind in [k for k in results if k != "match_rate"]:
        rows[f"{kind}: eV/atom above the hull"] = results[kind]["mean_above_hull"]
        rows[f"{kind}: stable"] = results[kind]["stable_share"]
    for name, row in rows.items():
        shown = ["-" if row[way] is None else f"{row[way]:.4f}" for way in _WAYS]
        d = row["difference"]
        low, high = ("-" if x is None else f"{x:+.4f}" for x in d["interval"])
        value = "-" if d["value"] is None else f"{d['value']:+.4f}"
        lines.append(f"{name:32} {shown[0]:>9} {shown[1]:>9} {value:>11}  [{low}, {high}]")
    return "\n".join(lines)
