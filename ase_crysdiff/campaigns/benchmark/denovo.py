"""`crysdiff benchmark denovo`: validity, uniqueness, novelty and distributions of first draws."""

import argparse
import json
import platform
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("sampler", help="name of a sampler that finds compositions")
    parser.add_argument("-n", "--num-samples", type=int, default=1000, help="draws (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument(
        "--training",
        type=Path,
        required=True,
        help="packed training crystals, for novelty and atom counts",
    )
    parser.add_argument(
        "--validation",
        type=Path,
        required=True,
        help="packed crystals, for density and number of elements",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("denovo.json"),
        help="result (default denovo.json)",
    )
    parser.add_argument("--weights", help="folder with other weights")
    parser.add_argument(
        "--steps", type=int, help="steps of the reverse process; default as in the card"
    )
    parser.add_argument("--batch-size", type=int, help="crystals computed together")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws once per index, nothing redrawn or dropped, scores and writes."""
    import torch

    from ase_crysdiff.data.packed import PackedCrystals
    from ase_crysdiff.metrics.distributions import density_distance, num_elements_distance
    from ase_crysdiff.metrics.reference import Reference
    from ase_crysdiff.storage import write_text
    from pymatgen_ext.evaluation import evaluate
    from pymatgen_ext.samplers import StructureSampler

    training = PackedCrystals.load(options.training)
    validation = Reference(PackedCrystals.load(options.validation))
    sampler = StructureSampler(options.sampler, options.weights)
    samples = sampler.sample(
        options.num_samples,
        seed=options.seed,
        steps=options.steps,
        redraws=0,
        batch_size=options.batch_size,
        workers=options.workers,
    )
    drawn = {s.properties["crysdiff_index"]: s for s in samples}
    structures = [drawn.get(i) for i in range(options.num_samples)]
    if sampler.max_atoms is not None:  # larger training crystals were left out of the training, too
        training = training.select(training.batch.num_atoms <= sampler.max_atoms)
    results = {
        f"{name} (training)": r for name, r in evaluate(structures, reference=training).items()
    }
    results["density_distance (validation)"] = density_distance(structures, validation)
    results["num_elements_distance (validation)"] = num_elements_distance(structures, validation)
    report = samples.report
    content = {
        "sampler": options.sampler,
        "weights": report.weights,
        "draws": options.num_samples,
        "seed": options.seed,
        "evaluations_per_draw": report.evaluations,
        "seconds": round(report.seconds, 1),
        "workers": options.workers,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "rejections": dict(report.rejections),
        "results": {
            name: {
                "value": r.value,
                "interval": r.interval,
                "failures": len(r.failures),
                "settings": dict(r.settings),
            }
            for name, r in results.items()
        },
    }
    write_text(options.output, json.dumps(content, indent=1) + "\n")
    for name, result in results.items():
        print(f"{name:40} {result}")
    print(f"{report}\nWritten to {options.output}")
    return 0
