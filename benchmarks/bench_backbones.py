"""Backbones at their default sizes: parameters, edges, and crystals a second in one thread.

    python benchmarks/bench_backbones.py data.safetensors [--names matformer pddformer] [--limit
    256] [--repeats 3]

Reads crystals of 8 to 12 atoms from a packed file. Times are CPU seconds, the best of the repeats:
finding edges, a forward pass without gradients, both, and a forward and backward pass.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.networks.registry import backbone_names, make_backbone
from ase_crysdiff.training.graph_crystals import GraphCrystals


def best(work: Callable[[], object], repeats: int) -> float:
    """CPU time of the fastest call."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def measure(name: str, data: PackedCrystals, repeats: int) -> dict[str, object]:
    """One line of the report."""
    backbone = make_backbone({"name": name})

    def graphs() -> GraphCrystals:
        return GraphCrystals(data, backbone.neighborhood, 64, torch.device("cpu"))

    batches = list(graphs().everything())

    def forward() -> None:
        with torch.no_grad():
            for batch in batches:
                backbone(batch.graph)

    def train() -> None:
        for batch in batches:
            backbone(batch.graph).crystals.square().sum().backward()

    edges, embed, step = best(graphs, repeats), best(forward, repeats), best(train, repeats)
    atoms = sum(len(batch.graph.crystals.species) for batch in batches)
    return {
        "name": name,
        "parameters": sum(p.numel() for p in backbone.parameters()),
        "edges_per_atom": round(sum(len(batch.graph.receivers) for batch in batches) / atoms, 1),
        "crystals_per_second": {
            what: round(len(data) / seconds)
            for what, seconds in {
                "edges": edges,
                "embed": embed,
                "both": edges + embed,
                "train": step,
            }.items()
        },
    }


def main() -> None:
    """Prints one line of JSON per backbone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--names", nargs="+", default=backbone_names())
    for name, default in {"limit": 256, "repeats": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = PackedCrystals.load(options.data)
    counts = data.batch.num_atoms
    fits = (counts >= 8) & (counts <= 12)
    data = data.select(fits & (fits.cumsum(0) <= options.limit))
    for name in options.names:
        print(json.dumps(measure(name, data, options.repeats)), flush=True)


if __name__ == "__main__":
    main()
