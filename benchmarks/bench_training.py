"""Speed of training: steps/s, cost of the data, arithmetic rate against what the machine's matrix
products reach.

    python benchmarks/bench_training.py miad [--device cuda] [--hidden 512 --layers 6 --frequencies
    128] [--batch-size 256]
        [--precision bfloat16] [--compile] [--steps 30] [--crystals 17000]

Runs the real training loop on random crystals with the sizes of a histogram like MP-20's; needs
torch and lightning only. The FLOPs of a step are counted by torch while it runs; the ceiling is the
best rate of a large square product in the same format, in the same process.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch.utils.flop_counter import FlopCounterMode

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.training.denoising import denoising_task
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.settings import PRECISIONS, TrainSettings

#: Atoms per crystal and how often, in percent, as in MP-20.
SIZES = {2: 6, 3: 7, 4: 15, 5: 6, 6: 8, 8: 9, 9: 4, 10: 10, 12: 10, 14: 6, 16: 5, 18: 4, 20: 10}


def crystals(count: int) -> PackedCrystals:
    """Random cells, places and species."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([size for size, share in SIZES.items() for _ in range(share)])
    num_atoms = sizes[torch.randint(len(sizes), (count,), generator=generator)].sort().values
    total = int(num_atoms.sum())
    cells = 4 * torch.eye(3) + 0.8 * torch.randn(count, 3, 3, generator=generator)
    cells[torch.linalg.det(cells) < 0] *= -1
    frac = torch.rand(total, 3, generator=generator)
    species = torch.randint(1, 90, (total,), generator=generator)
    return PackedCrystals(CrystalBatch(cells, frac, species, num_atoms), {})


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """The best rate of a square product, FLOP/s."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        started = now(device)
        a @ b
        best = min(best, now(device) - started)
    return 2 * size**3 / best


def now(device: torch.device) -> float:
    """Time after all work on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main() -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="miad, dao-g or dao-g-flow")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="float32", choices=PRECISIONS)
    parser.add_argument("--compile", action="store_true")
    sizes = {
        "hidden": 128,
        "layers": 4,
        "frequencies": 32,
        "batch-size": 64,
        "steps": 30,
        "crystals": 17_000,
        "epochs": 1000,
    }
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    fabric = Fabric(accelerator=options.device, devices=1)
    fabric.launch()
    data, made = crystals(options.crystals), recipe(options.model)
    encoder = {
        "name": "cspnet",
        "hidden": options.hidden,
        "layers": options.layers,
        "frequencies": options.frequencies,
    }
    model = made.build({**made.configure(data), "encoder": encoder})
    settings = TrainSettings(
        steps=options.steps,
        batch_size=options.batch_size,
        max_pairs=10**9,
        precision=options.precision,
        compile=options.compile,
        log_every=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        task = denoising_task(model, data, settings, fabric.device)
        loop = Loop(task, Path(folder), settings, fabric)
        started = now(fabric.device)
        batches = sum(1 for _ in loop.data.epoch(0, 0))
        data_seconds = (now(fabric.device) - started) / batches
        loop.run(progress=False)
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
        times = [line["seconds"] for line in lines if "loss" in line]
    warm = len(times) // 3  # the first steps fill caches, and compile if asked to
    seconds = (times[-1] - times[warm]) / (len(times) - 1 - warm)
    flops = None
    if not options.compile:
        counter = FlopCounterMode(display=False)
        with tempfile.TemporaryDirectory() as folder, counter:
            short = replace(settings, steps=8)
            again = denoising_task(model, data, short, fabric.device)
            Loop(again, Path(folder), short, fabric).run(progress=False)
        flops = counter.get_total_flops() / 8
    ceiling = matmul_rate(fabric.device, getattr(torch, options.precision))
    per_epoch = options.crystals / options.batch_size
    result = {
        "model": options.model,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu, one thread",
        "parameters": model.denoiser.num_parameters,
        "batch_size": options.batch_size,
        "precision": options.precision,
        "compiled": options.compile,
        "steps_per_s": round(1 / seconds, 3),
        "data_ms_per_batch": round(1000 * data_seconds, 3),
        "hours_per_thousand_epochs": round(1000 * per_epoch * seconds / 3600, 2),
        "matmul_tflops": round(ceiling / 1e12, 3),
    }
    if flops is not None:
        rate = flops / seconds
        result |= {
            "tflops": round(rate / 1e12, 4),
            "share_of_matmul_rate": round(rate / ceiling, 3),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
