"""`crysdiff benchmark inpaint`: takes an element out of crystals, puts it back and compares; goes
on where it was stopped.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.options import add_options

if TYPE_CHECKING:
    from ase_crysdiff.campaigns.benchmark.hosts import Answers, Puzzle
    from ase_crysdiff.campaigns.benchmark.targets import Targets
    from ase_crysdiff.campaigns.state import RunFolder

_DRAWS, _PAIRS = "draws", "pairs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_options(parser, samples=1, output="inpaint.json")
    parser.add_argument(
        "--targets",
        type=Path,
        required=True,
        help="whole crystals: CSV with a cif column, packed file, ...",
    )
    parser.add_argument(
        "--limit", type=int, help="use the first so many targets that have a host only"
    )
    parser.add_argument(
        "--remove",
        metavar="EL-EL",
        help="take out one of these elements; by default the rarest, whichever it is",
    )
    parser.add_argument(
        "--range",
        action="store_true",
        help="offer up to twice the true number of guests: the count is found",
    )
    parser.add_argument(
        "--jump-length", type=int, default=10, help="levels of a resampling jump (default 10)"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        help="passes through each stretch of the plan (default 1, no jumps)",
    )
    parser.add_argument(
        "--guidance", metavar="POTENTIAL", help="guide by the energy of this potential"
    )
    parser.add_argument("--guidance-scale", type=float, default=1.0, help="1/(eV/atom), default 1")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing, compares what is missing, scores and writes. First draws only, nothing
    redrawn or dropped.
    """
    from ase_crysdiff import __version__
    from ase_crysdiff.campaigns.benchmark.hosts import Setting, fill, select
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.run import check, usable_device
    from ase_crysdiff.campaigns.benchmark.targets import read_targets
    from ase_crysdiff.campaigns.state import RunFolder
    from ase_crysdiff.sampling.batched import SamplerSpec
    from ase_crysdiff.storage import write_text
    from pymatgen_ext.inpainting import Filling, prepare
    from pymatgen_ext.samplers import StructureSampler

    check(options)
    conditions = _guidance(options)
    structures = StructureSampler(options.sampler, options.weights, usable_device(options.device))
    targets, puzzles = select(
        read_targets(options.targets, None), _removable(options.remove), options.limit
    )
    settings = {
        "sampler": options.sampler,
        "targets": {"file": options.targets.name, "count": len(puzzles), "sha256": targets.digest},
        "seed": options.seed,
        "version": __version__,
        "guests": Counter(p.guest for p in puzzles),
        **{
            name: getattr(options, name)
            for name in ("steps", "remove", "range", "jump_length", "repeats", "guidance")
        },
        "guidance_scale": options.guidance_scale if options.guidance else None,
    }
    folder = RunFolder(options.keep or options.output.with_suffix(".parts"), settings)
    spec = SamplerSpec(options.sampler, options.weights, structures.device)
    batch_size = options.batch_size or (64 if structures.device == "cpu" else 512)
    setting = Setting(spec, spec.load(), options.seed, options.samples, batch_size)

    def ask(puzzle: "Puzzle") -> Filling:
        offered = (0, 2 * puzzle.count) if options.range else puzzle.count
        return prepare(
            structures.check,
            puzzle.host,
            {puzzle.guest: offered},
            jump_length=options.jump_length,
            repeats=options.repeats,
            conditions=conditions,
            steps=options.steps,
        )

    keys = (
        "target",
        "sample",
        "weights",
        "seconds",
        "reason",
        "displacement",
        "lattice",
        "frac_coords",
        "species",
    )
    answers = fill(puzzles, targets.names, ask, setting, folder.journal(_DRAWS, *keys))
    content = {
        "benchmark": "inpaint",
        **settings,
        "samples_per_target": options.samples,
        "evaluations_per_sample": sorted(n for n in answers.evaluations if n is not None),
        "refused_targets": answers.refused,
        "rejections": dict(
            Counter(e["reason"] for e in answers.entries if e["reason"] is not None)
        ),
        "seconds_per_sample": _mean([e["seconds"] for e in answers.entries]),
        "machine": machine(structures.device),
        **_scores(_compared(folder, answers, targets, options), answers, puzzles, options),
    }
    write_text(options.output, json.dumps(content, indent=1) + "\n")
    if options.keep is None:
        folder.remove(_DRAWS, _PAIRS)
    print(summary(content))
    print(f"Written to {options.output}")
    return 0


def _guidance(options: argparse.Namespace) -> tuple[Any, ...]:
    if options.guidance is None:
        return ()
    from pymatgen_ext.guidance import EnergyGuidance

    return (EnergyGuidance(options.guidance, options.guidance_scale),)


def _removable(text: str | None) -> frozenset[str]:
    """Symbols of the elements that may be taken out."""
    if text is None:
        return frozenset()
    from pymatgen.core import Element

    from pymatgen_ext.parsing import elements

    return frozenset(Element.from_Z(z).symbol for z in elements("remove", text))


def _compared(
    folder: "RunFolder", answers: "Answers", targets: "Targets", options: argparse.Namespace
) -> dict[tuple[int, int], tuple[float | None, str | None]]:
    """Distance and failure of every pair (target, sample) that there is."""
    from tqdm import tqdm

    from ase_crysdiff.campaigns.benchmark.hosts import same
    from ase_crysdiff.isolation import Failure, run_isolated

    journal = folder.journal(_PAIRS, "target", "sample", "weights", "distance", "failure")
    drawn = {(e["target"], e["sample"]): e["weights"] for e in answers.entries}
    found = {
        (e["target"], e["sample"]): (e["distance"], e["failure"])
        for e in journal.read()
        if drawn.get((e["target"], e["sample"])) == e["weights"]
    }
    todo = [key for key in drawn if key not in found]
    chunks = [[(answers.structures[i][s], targets.structures[i])] for i, s in todo]
    bar = tqdm(total=len(todo), desc="match", unit=" pairs", disable=None)
    with journal.grouped() as note, bar:
        for chunk, _, result in run_isolated(
            same, chunks, workers=options.workers, timeout=options.timeout
        ):
            key = todo[chunk]
            found[key] = (None, result.reason) if isinstance(result, Failure) else result
            distance, failure = found[key]
            note(
                {
                    "target": key[0],
                    "sample": key[1],
                    "weights": drawn[key],
                    "distance": distance,
                    "failure": failure,
                }
            )
            bar.update()
    return found


def _scores(
    pairs: dict[tuple[int, int], tuple[float | None, str | None]],
    answers: "Answers",
    puzzles: Sequence["Puzzle"],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Rates of reconstruction with 1 … k samples, distances, counts of guests, displacement of the
    hosts.
    """
    rows = [
        [pairs.get((i, s), (None, None))[0] for s in range(options.samples)]
        for i in range(len(puzzles))
    ]
    sizes = sorted(
        {n for n in (1, 2, 5, 10, 20, 50, 100) if n < options.samples} | {options.samples}
    )
    best = [min((d for d in row if d is not None), default=None) for row in rows]
    offset = [
        len(e["species"]) - len(puzzles[e["target"]].host) - puzzles[e["target"]].count
        for e in answers.entries
        if e["sample"] == 0
    ]
    exact = [False] * (len(puzzles) - len(offset)) + [
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


def _rate(verdicts: Sequence[bool]) -> dict[str, Any]:
    from ase_crysdiff.metrics.base import rate

    result = rate(verdicts, {}, {})
    return {"value": round(result.value, 6), "interval": [round(x, 6) for x in result.interval]}


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
