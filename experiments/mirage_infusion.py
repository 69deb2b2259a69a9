"""MiAD's own claim: the same network, data and steps with and without mirage infusion, S.U.N. of
both and their ratio.

    python experiments/mirage_infusion.py packed.safetensors --hull hull.csv.gz --minutes 600
    [--steps 20000] [--draws 1000]
        [--seeds 0 1 2] [--potential dao-p] [-o mirage]

The arms: `mirage`, crystals padded with vacancies to 1.25 times the largest (25 slots for 20 atoms,
as in the paper), so that the number of atoms is found while sampling; `plain`, crystals as they
are, the number of atoms drawn from that of the training data. All else is equal: encoder,
processes, kernel, steps, batch size, order of seeds, network evaluations per draw. Draws are first
draws: nothing is redrawn, and what fails counts. Novelty is judged against the training crystals,
or against `--reference`. Give the same command again when the time was too short or it was killed:
runs, draws and scores are kept. Prints the scores of every run, and the ratio of S.U.N. (mirage
over plain) of all seeds together with its 95 % interval.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import species_prior
from ase_crysdiff.recipes.miad import MAX_ATOMS, SLOTS
from ase_crysdiff.sampling.folder import SampleFolder
from ase_crysdiff.storage import Store, write_text
from ase_crysdiff.training.export import export
from ase_crysdiff.training.run import launched, prepare
from ase_crysdiff.training.settings import TrainSettings
from pymatgen_ext.samplers import StructureSampler

ARMS = ("mirage", "plain")
#: As in the shipped miad: 0.6 million parameters.
ENCODER = {"name": "cspnet", "hidden": 128, "layers": 4, "frequencies": 32}
#: Plain sampling: no temperature, no odds of atom counts, nothing that keeps atoms apart.
SAMPLING = {"steps": 200, "corrections": {}}
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
    if arm == "plain":
        space: dict[str, Any] = {"name": "identity", "max_atoms": max_atoms}
        prior = species_prior(data)
    else:
        slots = round(max_atoms * SLOTS / MAX_ATOMS)
        space = {"name": "mirage", "slots": slots, "max_atoms": max_atoms}
        prior = species_prior(data, slots)
    return {"state_space": space, "species": {"prior": prior}, "encoder": dict(encoder)}


def train(arm: str, data: Path, run: Path, settings: TrainSettings, deadline: float) -> bool:
    """Trains a run, or goes on with it; whether it has come to its end."""
    packed = PackedCrystals.load(data)
    wanted = changes(arm, packed, int(packed.batch.num_atoms.max()), ENCODER)
    loop = prepare("miad", data, run / "training", settings, launched(), wanted)
    progress = loop.run(minutes=max(0.0, deadline - time.monotonic()) / 60)
    print(
        f"{run.name}: step {progress.step} of {settings.steps}, {progress.seconds:.0f} s in all",
        flush=True,
    )
    return progress.step >= settings.steps


def draw(
    run: Path, draws: int, seed: int, sampling: Mapping[str, Any], workers: int
) -> list[Structure | None]:
    """The first draws of a trained run, as far as they are crystals."""
    export(run / "training", run / "weights", "miad", sampling=sampling)
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
    arm: str, seed: int, data: Path, options: argparse.Namespace, deadline: float
) -> dict[str, Any] | None:
    """The scores of an arm and seed; None if the time was too short."""
    run = options.output / f"{arm}-{seed}"
    finished = run / "results.json"
    if not finished.exists():
        settings = TrainSettings(
            steps=options.steps,
            batch_size=options.batch_size,
            warmup=min(500, options.steps // 10),
            seed=seed,
        )
        if not train(arm, data, run, settings, deadline):
            return None
        structures = draw(run, options.draws, seed, options.sampling, options.workers)
        results = evaluate_structures(
            structures,
            run / "scores",
            reference=options.reference or data,
            hull=options.hull,
            potential=options.potential,
            profile=options.profile,
            workers=options.workers,
        )
        write_text(finished, json.dumps(results))
    return dict(json.loads(finished.read_text()))


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


def table(found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    """Scores of every run, and the ratios of all seeds that both arms have finished."""
    lines = ["| arm | seed | " + " | ".join(SHOWN) + " |", "|---" * (len(SHOWN) + 2) + "|"]
    for arm, by_seed in found.items():
        for seed, results in by_seed.items():
            lines.append(
                f"| {arm} | {seed} | "
                + " | ".join(_cell(results["metrics"].get(name)) for name in SHOWN)
                + " |"
            )
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in found.values())))
    for name in ("sun", "msun") if shared else ():
        hits, totals = zip(
            *(_counts([by_seed[s] for s in shared], name) for by_seed in found.values()),
            strict=True,
        )
        value, low, high = ratio(hits, totals)
        counts = " against ".join(f"{h} of {t}" for h, t in zip(hits, totals, strict=True))
        lines.append(
            f"{name}, {' over '.join(found)}: {value:.2f} [{low:.2f}, {high:.2f}] ({counts}; seeds "
            f"{shared})"
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
    parser.add_argument("--steps", type=int, default=20_000)
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
        if k not in ("minutes", "seeds", "workers", "output")
    }
    Store(options.output, kept)
    data = options.output / "training.safetensors"
    if not data.exists():
        packed = PackedCrystals.load(options.data)
        packed.select(packed.batch.num_atoms <= options.max_atoms).save(data)
    deadline = time.monotonic() + 60 * options.minutes
    found: dict[str, dict[int, dict[str, Any]]] = {arm: {} for arm in ARMS}
    for seed in options.seeds:  # seed by seed, so that a short run still compares both arms
        for arm in ARMS:
            results = measure(arm, seed, data, options, deadline)
            if results is not None:
                found[arm][seed] = results
    print(table(found))


if __name__ == "__main__":
    main()
