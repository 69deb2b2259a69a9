"""CSPNet against a plain implementation of the published equations: same weights, same inputs, one
process, one thread.

    python benchmarks/bench_cspnet.py [--hidden 512] [--layers 6] [--frequencies 128] [--crystals
    256] [--repeats 3] [--bfloat16]

Crystals have sizes drawn from a histogram like MP-20's. Times are CPU seconds, median over
interleaved repeats; every variant is checked against the plain one before anything is timed. A
training step is network, squared error, backward and Adam. Some virtual machines announce bfloat16
matrix units that they do not have; there set ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 first.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from ase_crysdiff.networks.base import NodeInput
from ase_crysdiff.networks.encoders.cspnet import CSPNet
from ase_crysdiff.testing.crystals import random_batch
from ase_crysdiff.testing.cspnet_reference import ReferenceCSPNet, all_pairs

#: Atoms per crystal and how often, in percent.
SIZES = {2: 6, 3: 7, 4: 15, 5: 6, 6: 8, 8: 9, 9: 4, 10: 10, 12: 10, 14: 6, 16: 5, 18: 4, 20: 10}


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Prints one line of JSON per variant."""
    parser = argparse.ArgumentParser()
    for name, default in {
        "hidden": 512,
        "layers": 6,
        "frequencies": 128,
        "crystals": 256,
        "repeats": 3,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument(
        "--bfloat16", action="store_true", help="also the variants with bfloat16 products"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    pool = [size for size, share in SIZES.items() for _ in range(share)]
    picked = torch.randint(0, len(pool), (options.crystals,), generator=generator).tolist()
    batch = random_batch(sorted(pool[i] for i in picked), generator)
    layout = batch.layout
    fast = CSPNet(9, options.hidden, options.layers, options.frequencies)
    plain = ReferenceCSPNet(fast)
    nodes = torch.randn(layout.total_atoms, options.hidden, generator=generator)
    gram = (batch.lattice @ batch.lattice.transpose(1, 2)).flatten(1)
    inputs = NodeInput(nodes, gram, batch.frac_coords, layout)
    adam = torch.optim.Adam(fast.parameters(), 0.0)

    def forward(network: torch.nn.Module) -> Callable[[], torch.Tensor]:
        def work() -> torch.Tensor:
            with torch.no_grad():
                return network(inputs).nodes

        return work

    def training(network: torch.nn.Module) -> Callable[[], None]:
        def work() -> None:
            adam.zero_grad()
            network(inputs).nodes.square().mean().backward()
            adam.step()

        return work

    expected = forward(plain)()
    pairs = len(all_pairs(list(layout.sizes))[0])
    print(
        json.dumps(
            {
                "crystals": options.crystals,
                "pairs": pairs,
                "parameters": sum(p.numel() for p in fast.parameters()),
            }
        )
    )

    def report(variant: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        got = forward(fast)()
        error = float((got - expected).norm() / expected.norm())
        assert error < (2e-3 if "bfloat16" in variant else 1e-5), f"{variant} is off by {error}"
        times = [(cpu_seconds(ours), cpu_seconds(theirs)) for _ in range(options.repeats)]
        mine, plain_time = (statistics.median(column) for column in zip(*times, strict=True))
        result = {
            "variant": variant,
            "relative_error": error,
            "s": round(mine, 3),
            "plain_s": round(plain_time, 3),
        }
        print(json.dumps({**result, "ratio": round(plain_time / mine, 2)}), flush=True)

    report("forward, exact", forward(fast), forward(plain))
    report("training step, exact", training(fast), training(plain))
    if options.bfloat16:
        fast.products = torch.bfloat16
        report("forward, bfloat16 products", forward(fast), forward(plain))
        report("training step, bfloat16 products", training(fast), training(plain))
        fast.products = None
    fast.tabulate()
    report("forward, table", forward(fast), forward(plain))
    if options.bfloat16:
        fast.products = torch.bfloat16
        fast.tabulate()
        report("forward, table and bfloat16 products", forward(fast), forward(plain))


if __name__ == "__main__":
    main()
