"""What unstable crystals and a second stage bring: the same small model, the same number of steps,
three ways of training.

    python experiments/ablate_pretraining.py curated/ --validation val.csv.gz --minutes 240 [--steps
    20000] [--seeds 0 1 2]
        [-o ablation]

`curated/` is what `crysdiff curate` writes. The ways: `stable`, on the stable crystals of stage I
only; `all`, on all of stage I; `two-stage`, three quarters of the steps on all of stage I, the rest
on stage II with a third of the learning rate. Predictions for the validation crystals are scored as
by `crysdiff benchmark csp`, one sample each. Give the same command again when the time was too
short: finished runs and scores are kept. Prints mean and standard deviation over the seeds, and the
paired differences.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ase_crysdiff.campaigns.curation.options import STABLE
from ase_crysdiff.cli.main import main as crysdiff
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.training.export import export
from ase_crysdiff.training.run import launched
from ase_crysdiff.training.run import prepare as prepare_run
from ase_crysdiff.training.settings import TrainSettings

#: 0.5 million parameters.
ENCODER = {"name": "cspnet", "hidden": 128, "layers": 4, "frequencies": 32}
RATE = 1e-3
WAYS = ("stable", "all", "two-stage")
#: Any sampler of the recipe, given other weights.
SAMPLER = "dao-g-perov5"


@dataclass(frozen=True)
class Leg:
    """One stretch of training: data, share of the steps, learning rate."""

    data: str
    share: float
    rate: float


LEGS = {
    "stable": (Leg("stable", 1.0, RATE),),
    "all": (Leg("stage1", 1.0, RATE),),
    "two-stage": (Leg("stage1", 0.75, RATE), Leg("stage2", 0.25, RATE / 3)),
}


def prepare(curated: Path, validation: Path, folder: Path, max_atoms: int) -> None:
    """Packed files of small crystals: both stages, the stable part of the first, and the validation
    crystals.
    """
    first = PackedCrystals.load(curated / "stage1.safetensors")
    for name, packed in (
        ("stage1", first),
        ("stage2", PackedCrystals.load(curated / "stage2.safetensors")),
    ):
        packed.select(packed.batch.num_atoms <= max_atoms).save(folder / f"{name}.safetensors")
    stable = (
        (first.values["e_above_hull"] <= STABLE)
        & (first.values["way"] == Perturbation.UNPERTURBED)
        & (first.batch.num_atoms <= max_atoms)
    )
    first.select(stable).save(folder / "stable.safetensors")
    crysdiff(
        [
            "pack",
            str(validation),
            "-o",
            str(folder / "validation.safetensors"),
            "--max-atoms",
            str(max_atoms),
        ]
    )


def train(way: str, seed: int, folder: Path, steps: int, deadline: float) -> Path | None:
    """The folder of the finished run of a way and seed; None if the time was too short."""
    fabric = launched()
    origin: Path | None = None
    for number, leg in enumerate(LEGS[way]):
        run = folder / f"{way}-{seed}" / f"leg{number}"
        planned = max(1, round(steps * leg.share))
        settings = TrainSettings(
            steps=planned, learning_rate=leg.rate, warmup=min(200, planned // 10), seed=seed
        )
        changes = {"encoder": ENCODER} if origin is None else {}
        loop = prepare_run(
            "dao-g",
            folder / f"{leg.data}.safetensors",
            run,
            settings,
            fabric,
            changes,
            origin=origin,
        )
        if loop.run(minutes=max(0.0, deadline - time.monotonic()) / 60).step < planned:
            return None
        origin = run
    return origin


def score(
    run: Path, way: str, seed: int, folder: Path, limit: int, workers: int
) -> dict[str, float]:
    """Match rate and error on the validation crystals."""
    output = folder / f"{way}-{seed}" / "csp.json"
    if not output.exists():
        weights = folder / f"{way}-{seed}" / "weights"
        export(run, weights, "dao-g")
        words = [
            "benchmark",
            "csp",
            SAMPLER,
            "--weights",
            weights,
            "--targets",
            folder / "validation.safetensors",
        ]
        code = crysdiff(
            [str(w) for w in [*words, "--limit", limit, "--workers", workers, "-o", output]]
        )
        if code:
            raise SystemExit(code)
    results = json.loads(output.read_text())["results"]
    return {name: results[name]["value"] for name in ("match_rate", "crmse")}


def table(scores: dict[str, dict[int, dict[str, float]]]) -> str:
    """Mean and spread of each way, and differences seed by seed."""
    lines = ["| way | seeds | match rate | cRMSE |", "|---|---|---|---|"]
    for way, by_seed in scores.items():
        cells = [_spread([s[name] for s in by_seed.values()]) for name in ("match_rate", "crmse")]
        lines.append(f"| {way} | {len(by_seed)} | {cells[0]} | {cells[1]} |")
    for one, other in (("all", "stable"), ("two-stage", "all")):
        shared = sorted(scores[one].keys() & scores[other].keys())
        cells = [
            _spread([scores[one][s][n] - scores[other][s][n] for s in shared])
            for n in ("match_rate", "crmse")
        ]
        lines.append(f"| {one} minus {other} | {len(shared)} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"


def main() -> None:
    """Trains what is missing while there is time, scores what is finished, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("curated", type=Path)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="for all training together")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--max-atoms", type=int, default=12)
    parser.add_argument("--limit", type=int, default=300, help="validation crystals")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("ablation"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * options.minutes
    if not (options.output / "validation.safetensors").exists():
        prepare(options.curated, options.validation, options.output, options.max_atoms)
    scores: dict[str, dict[int, dict[str, float]]] = {way: {} for way in WAYS}
    for seed in options.seeds:  # seed by seed, so that a short run still compares all ways
        for way in WAYS:
            run = train(way, seed, options.output, options.steps, deadline)
            if run is not None:
                scores[way][seed] = score(
                    run, way, seed, options.output, options.limit, options.workers
                )
    print(table(scores))


if __name__ == "__main__":
    main()
