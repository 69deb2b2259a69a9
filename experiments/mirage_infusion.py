"""MiAD's own claim: the same network and data, and equally many core-hours, with and without mirage
atoms; S.U.N. of all arms and their ratios as a curve.

    python experiments/mirage_infusion.py packed.safetensors --hull hull.csv.gz --minutes 600
    [--hours 2 6 12] [--draws 1000]
        [--seeds 0 1] [--arms mirage plain] [--potential dao-p] [-o mirage]

The arms: `mirage`, as many rows as atoms and a few more, whose number is drawn (`recipes.miad`);
`padded`, vacancies up to 1.25 times the largest crystal (25 rows for 20 atoms), as in the paper;
`plain`, crystals as they are, the number of atoms drawn from that of the training data. All else
is equal: encoder, processes, kernel, batch size, order of seeds, network evaluations per draw.
Steps are not: each arm makes as many as fit into its hours by the processor time of its first
steps, which is measured and kept. The rate falls to zero at the end of every budget, and the run
goes on from there to the next one. Draws are first draws: nothing is redrawn, and what fails
counts. Novelty is judged against the training crystals, or against `--reference`. Give the same
command again when the time was too short or it was killed: runs, draws and scores are kept. Prints
the scores of every run, and for each budget the ratios of S.U.N. over `plain` of all seeds together
with their 95 % interval.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.recipes.miad import MAX_ATOMS, RECIPE, SLOTS
from ase_crysdiff.sampling.folder import SampleFolder
from ase_crysdiff.storage import Store, write_text
from ase_crysdiff.training.export import export
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.run import launched, prepare
from ase_crysdiff.training.settings import TrainSettings
from pymatgen_ext.samplers import StructureSampler

ARMS = ("mirage", "padded", "plain")
#: As in the shipped miad: 1.4 million parameters.
ENCODER = {"name": "cspnet", "hidden": 192, "layers": 5, "frequencies": 32, "distances": 16}
#: Plain sampling: no temperature, no odds of atom counts, nothing that keeps atoms apart.
SAMPLING = {
    "steps": 100,
    "solver": "euler",
    "start": 1.0,
    "velocity_annealing": {"frac_coords": 20.0},
}
#: Steps whose processor time says how many fit into an hour, after as many that warm up.
_TIMED = 40
#: Crystals that are drawn together.
_BATCH = 64
SHOWN = (
    "structural_validity",
    "compositional_validity",
    "uniqueness_relaxed",
    "novelty_relaxed",
    "stability",
    "metastability",
    "sun",
    "msun",
    "num_atoms_distance",
    "num_primitive_atoms_distance",
)


def changes(
    arm: str, data: PackedCrystals, max_atoms: int, encoder: Mapping[str, Any]
) -> dict[str, Any]:
    """What an arm changes of the recipe's default config."""
    space = RECIPE.configure(data)["state_space"]
    if arm == "plain":
        space = {"name": "identity"}
    elif arm == "padded":
        space = {**space, "spare": None, "slots": round(max_atoms * SLOTS / MAX_ATOMS)}
    return {"state_space": {**space, "max_atoms": max_atoms}, "encoder": dict(encoder)}


def seconds_per_step(arm: str, data: Path, settings: TrainSettings) -> float:
    """Processor seconds of a step of an arm, measured."""
    with tempfile.TemporaryDirectory() as folder:
        times = []
        for steps in (_TIMED, 2 * _TIMED):
            loop = _loop(arm, data, Path(folder), replace(settings, steps=steps))
            started = time.process_time()
            loop.run(progress=False)
            times.append(time.process_time() - started)
    return times[1] / _TIMED


def _loop(arm: str, data: Path, folder: Path, settings: TrainSettings) -> Loop:
    packed = PackedCrystals.load(data)
    wanted = changes(arm, packed, int(packed.batch.num_atoms.max()), ENCODER)
    return prepare("miad", data, folder, settings, launched(), wanted, extend=True)


def train(arm: str, data: Path, run: Path, settings: TrainSettings, deadline: float) -> bool:
    """Trains a run, or goes on with it; whether it has come to its end."""
    loop = _loop(arm, data, run / "training", settings)
    progress = loop.run(minutes=max(0.0, deadline - time.monotonic()) / 60)
    print(
        f"{run.name}: step {progress.step} of {settings.steps}, {progress.seconds:.0f} s in all",
        flush=True,
    )
    return progress.step >= settings.steps


def draw(
    training: Path, run: Path, draws: int, seed: int, sampling: Mapping[str, Any], workers: int
) -> list[Structure | None]:
    """The first draws of a trained run, as far as they are crystals."""
    export(training, run / "weights", "miad", sampling=sampling)
    sampler = StructureSampler("miad", str(run / "weights"))
    folder = SampleFolder.open(
        run / "draws", {"weights": sampler.version, "sampling": dict(sampling)}, seed, lambda: seed
    )
    missing = [i for i in range(draws) if i not in folder.done]
    request, _ = sampler.request()
    report = sampler.collect(
        request,
        missing,
        seed=seed,
        redraws=0,
        workers=workers,
        batch_size=_BATCH,
        on_draws=folder.on_draws,
    ).report
    print(
        f"{run.name}: {report.made} of {len(missing)} draws are crystals, {report.seconds:.0f} s",
        flush=True,
    )
    return [folder.done.get(i) for i in range(draws)]


def measure(
    arm: str, seed: int, hours: float, data: Path, options: argparse.Namespace, deadline: float
) -> dict[str, Any] | None:
    """The scores of an arm and seed after some core-hours; None if the time was too short."""
    training = options.output / f"{arm}-{seed}"
    run = training / f"{hours:g}h"
    finished = run / "results.json"
    if not finished.exists():
        settings = TrainSettings(batch_size=options.batch_size, cooldown=0.4, seed=seed)
        hourly = 3600 / _pace(arm, data, settings, options.output)
        steps = round(hours * hourly)
        # Of the shortest budget, since a run that goes on cannot warm up anew.
        warmup = min(500, round(min(options.hours) * hourly) // 4)
        settings = replace(settings, steps=steps, warmup=warmup)
        if not train(arm, data, training, settings, deadline):
            return None
        structures = draw(
            training / "training", run, options.draws, seed, options.sampling, options.workers
        )
        results = evaluate_structures(
            structures,
            run / "scores",
            reference=options.reference or data,
            hull=options.hull,
            potential=options.potential,
            profile=options.profile,
            workers=options.workers,
        )
        write_text(finished, json.dumps({**results, "steps": steps}))
    return dict(json.loads(finished.read_text()))


def _pace(arm: str, data: Path, settings: TrainSettings, output: Path) -> float:
    """Processor seconds of a step, measured once for all seeds."""
    kept = output / f"{arm}.pace.json"
    if not kept.exists():
        write_text(kept, json.dumps(seconds_per_step(arm, data, settings)))
    return float(json.loads(kept.read_text()))


def ratio(hits: tuple[int, int], totals: tuple[int, int]) -> tuple[float, float, float]:
    """The ratio of two rates with its 95 % interval.

    Half a hit and half a miss are added on both sides where one has no hits, so that the interval
    stays finite.

    Source: Katz et al. 1978, log method.
    """
    a, b = (float(h) for h in hits)
    n, m = (float(t) for t in totals)
    if not a or not b:
        a, b, n, m = a + 0.5, b + 0.5, n + 1, m + 1
    value = (a / n) / (b / m)
    half = 1.959964 * math.sqrt(1 / a - 1 / n + 1 / b - 1 / m)
    return value, value * math.exp(-half), value * math.exp(half)


def table(found: Mapping[str, Mapping[tuple[float, int], Mapping[str, Any]]]) -> str:
    """Scores of every run, and for each budget the ratios of all seeds that two arms have finished.

    Args:
        found: By arm, then by core-hours and seed.
    """
    lines = ["| arm | core-hours | seed | " + " | ".join(SHOWN) + " |"]
    lines.append("|---" * (len(SHOWN) + 3) + "|")
    for arm, runs in found.items():
        for (hours, seed), results in sorted(runs.items()):
            cells = " | ".join(_cell(results["metrics"].get(name)) for name in SHOWN)
            lines.append(f"| {arm} | {hours:g} | {seed} | {cells} |")
    plain = found.get("plain", {})
    for arm, runs in found.items():
        shared = sorted(set(runs) & set(plain)) if arm != "plain" else []
        for hours in sorted({hours for hours, _ in shared}):
            seeds = [seed for budget, seed in shared if budget == hours]
            for name in ("sun", "msun"):
                counts = [_counts([own[hours, s] for s in seeds], name) for own in (runs, plain)]
                hits, totals = zip(*counts, strict=True)
                value, low, high = ratio(hits, totals)
                told = " against ".join(f"{h} of {t}" for h, t in counts)
                lines.append(
                    f"{name}, {arm} over plain, {hours:g} core-hours: {value:.2f} [{low:.2f}, "
                    f"{high:.2f}] ({told}; seeds {seeds})"
                )
    return "\n".join(lines)


def _cell(result: Mapping[str, Any] | None) -> str:
    if result is None or result["value"] is None:
        return "-"
    return "{:.4f} [{:.4f}, {:.4f}]".format(result["value"], *result["interval"])


def _counts(runs: Sequence[Mapping[str, Any]], name: str) -> tuple[int, int]:
    """Hits and requests of a rate, over all runs."""
    return sum(round(r["metrics"][name]["value"] * r["requested"]) for r in runs), sum(
        r["requested"] for r in runs
    )


def main() -> None:
    """Trains what is missing while there is time, draws and scores what is trained, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="packed training crystals")
    parser.add_argument("--hull", type=Path, required=True)
    parser.add_argument(
        "--reference", type=Path, help="packed known crystals (default: the training crystals)"
    )
    parser.add_argument("--minutes", type=float, required=True, help="for all training together")
    parser.add_argument("--hours", type=float, nargs="+", default=[2.0], help="core-hours")
    parser.add_argument("--arms", choices=ARMS, nargs="+", default=["mirage", "plain"])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--max-atoms", type=int, default=12, help="of training crystals")
    parser.add_argument("--draws", type=int, default=1000, help="for each run")
    parser.add_argument(
        "--sampling",
        type=json.loads,
        default=SAMPLING,
        metavar="JSON",
        help="as in a card, for both arms",
    )
    parser.add_argument("--potential", default="dao-p", help="dao-p or chgnet")
    parser.add_argument("--profile", default="package", help="rule of S.U.N.")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("mirage"))
    options = parser.parse_args()
    kept = {
        k: str(v)
        for k, v in vars(options).items()
        if k not in ("minutes", "seeds", "arms", "hours", "workers", "output")
    }
    Store(options.output, kept)
    data = options.output / "training.safetensors"
    if not data.exists():
        packed = PackedCrystals.load(options.data)
        packed.select(packed.batch.num_atoms <= options.max_atoms).save(data)
    deadline = time.monotonic() + 60 * options.minutes
    found: dict[str, dict[tuple[float, int], dict[str, Any]]] = {arm: {} for arm in options.arms}
    # The shortest first, so that a short run still compares the arms.
    for hours in sorted(options.hours):
        for seed in options.seeds:
            for arm in options.arms:
                results = measure(arm, seed, hours, data, options, deadline)
                if results is None:  # too little time, or asked to stop: nothing else is trained
                    deadline = time.monotonic()
                else:
                    found[arm][hours, seed] = results
    print(table(found))


if __name__ == "__main__":
    main()
