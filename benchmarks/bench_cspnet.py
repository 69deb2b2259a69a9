"""CSPNet against a plain implementation of the published equations: same weights, same inputs, one process, one thread.

    python benchmarks/bench_cspnet.py [--hidden 512] [--layers 6] [--frequencies 128] [--crystals 32] [--repeats 5]

Crystals have sizes drawn from a histogram like MP-20's. Times are CPU seconds, median over interleaved repeats; results are
checked to agree before anything is timed.
"""

import argparse
import json
import statistics
import time

import torch

from ase_crysdiff.networks.base import NodeInput
from ase_crysdiff.networks.encoders.cspnet import CSPNet
from ase_crysdiff.testing.crystals import random_batch
from ase_crysdiff.testing.cspnet_reference import ReferenceCSPNet, all_pairs

SIZES = (
    [2] * 6
    + [3] * 7
    + [4] * 15
    + [5] * 6
    + [6] * 8
    + [8] * 9
    + [9] * 4
    + [10] * 10
    + [12] * 10
    + [14] * 6
    + [16] * 5
    + [18] * 4
    + [20] * 10
)


def main() -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser()
    for name, default in {"hidden": 512, "layers": 6, "frequencies": 128, "crystals": 32, "repeats": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    picked = torch.randint(0, len(SIZES), (options.crystals,), generator=generator).tolist()
    batch = random_batch(sorted(SIZES[i] for i in picked), generator)
    layout = batch.layout
    fast = CSPNet(9, options.hidden, options.layers, options.frequencies)
    slow = ReferenceCSPNet(fast)
    nodes = torch.randn(layout.total_atoms, options.hidden, generator=generator)
    gram = (batch.lattice @ batch.lattice.transpose(1, 2)).flatten(1)
    inputs = NodeInput(nodes, gram, batch.frac_coords, layout)
    with torch.no_grad():
        a, b = fast(inputs).nodes, slow(inputs).nodes
    error = float((a - b).norm() / b.norm())
    assert error < 1e-5, f"the networks disagree by {error}"

    def forward(network: torch.nn.Module) -> float:
        started = time.process_time()
        with torch.no_grad():
            network(inputs)
        return time.process_time() - started

    def train(network: torch.nn.Module) -> float:
        started = time.process_time()
        fast.zero_grad()
        network(inputs).nodes.square().mean().backward()
        return time.process_time() - started

    result = {"crystals": options.crystals, "pairs": len(all_pairs(list(layout.sizes))[0]), "relative_error": error}
    for name, measure in {"forward": forward, "forward_and_backward": train}.items():
        measure(fast), measure(slow)
        pairs = [(measure(fast), measure(slow)) for _ in range(options.repeats)]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        result |= {f"{name}_s": round(ours, 4), f"{name}_reference_s": round(theirs, 4), f"{name}_ratio": round(theirs / ours, 2)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
