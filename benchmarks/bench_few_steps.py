"""Match rate against the number of network evaluations, for every solver that a model can use.

    python benchmarks/bench_few_steps.py dao-g-perov5 --targets val.csv.gz --limit 300
        [--evaluations 10 25 50 100] [--weights DIR]
        [--try '{"solver": "euler", "velocity_annealing": {"frac_coords": 5.0}}' ...]

Use validation targets: this is how solver, steps and annealing of a card are chosen. One sample per
target, nothing redrawn; the times are CPU seconds of one thread. Prints a Markdown table.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.campaigns.benchmark.targets import read_targets
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.metrics.match_rate import compare, match_rate, rmse
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.model_sampler import ModelSampler
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.csp import CSP

DIFFUSION = (
    {"solver": "ancestral"},
    {"solver": "ancestral", "corrections": {"frac_coords": 5e-7}},
    {"solver": "euler"},
    {"solver": "heun"},
)
FLOW = (
    {"solver": "euler", "start": 1.0},
    {"solver": "euler", "start": 1.0, "velocity_annealing": {"frac_coords": 5.0}},
    {"solver": "heun", "start": 1.0},
)


def steps_for(sampling: Mapping[str, Any], evaluations: int) -> int:
    """Steps of a plan that costs at most so many evaluations."""
    if sampling["solver"] == "heun":
        return (evaluations + 1) // 2
    return evaluations // (2 if sampling.get("corrections") else 1)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sampler")
    parser.add_argument("--weights")
    parser.add_argument("--targets", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[10, 25, 50, 100])
    parser.add_argument("--try", dest="choices", type=json.loads, action="append", metavar="JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    targets = read_targets(options.targets, options.limit)
    loaded = load_sampler(options.sampler, options.weights)
    request = SampleRequest(CSP(cells=tuple(targets.compositions)))
    streams = Streams(0, tuple(range(len(targets.structures))))
    family = FLOW if loaded.model.config.get("family") == "flow" else DIFFUSION
    print(
        "| sampling | evaluations | match rate | RMSE | CPU s per crystal |\n|---|---|---|---|---|"
    )
    for sampling in options.choices or family:
        for evaluations in options.evaluations:
            steps = steps_for(sampling, evaluations)
            settings = SamplingSettings.of({**sampling, "steps": steps})
            card = replace(loaded.card, sampling=settings)
            sampler = ModelSampler(loaded.model, card, torch.device("cpu"))
            started = time.process_time()
            batch = sampler.sample(request, streams).crystals
            seconds = (time.process_time() - started) / len(batch)
            structures = [to_structures(crystal)[0] for crystal in batch.split()]
            compared = compare([[s] for s in structures], targets.structures)
            rate = match_rate(compared)
            low, high = rate.interval
            print(
                f"| `{json.dumps(sampling)}` | {sampler.evaluations(request)} | {rate.value:.3f} "
                f"({low:.3f}-{high:.3f}) "
                f"| {rmse(compared).value:.4f} | {seconds:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
