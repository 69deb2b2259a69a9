"""What mirage atoms cost in training: crystals per processor second for several laws of the number
of rows, against crystals without any, and the share of rows and pairs that are empty.

    crysdiff pack --primitive --symmetry crystals.csv.gz -o packed.safetensors
    python benchmarks/bench_mirage.py packed.safetensors [--batches 40]

`fixed` is the published law, 25 rows for crystals of at most 20 atoms; the others add 0, 1, 2, ...
rows by these odds. One thread, forward and backward; batches are drawn as training draws them.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.constants import VACANCY
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.symmetric_buckets import SymmetricBatch
from ase_crysdiff.recipes.miad import MAX_ATOMS, RECIPE, SLOTS, SPARE
from ase_crysdiff.training.run import initial
from ase_crysdiff.training.settings import TrainSettings

LAWS: dict[str, dict[str, Any]] = {
    "none": {"name": "identity", "max_atoms": MAX_ATOMS},
    f"fixed, {SLOTS} rows": {"name": "mirage", "slots": SLOTS, "max_atoms": MAX_ATOMS},
    "0.5, 0.5": {"name": "mirage", "spare": [0.5, 0.5], "max_atoms": MAX_ATOMS},
    ", ".join(map(str, SPARE)): {"name": "mirage", "spare": list(SPARE), "max_atoms": MAX_ATOMS},
    "six alike": {"name": "mirage", "spare": [1.0] * 6, "max_atoms": MAX_ATOMS},
}


def measure(
    data: PackedCrystals, space: dict[str, Any], share: float, batches: int
) -> tuple[float, float, float]:
    """Crystals per processor second, empty rows per row, pairs of rows per crystal.

    Args:
        data: Crystals, with scaffolds where a share is symmetric.
        space: State space of a config.
        share: Of batches that are noised on symmetric sites.
        batches: How many to time.
    """
    config = {**RECIPE.configure(data), "state_space": space}
    if share:
        config["symmetric_share"] = share
    model = initial(RECIPE, config, 0)
    settings = TrainSettings(precision="bfloat16")
    task = RECIPE.task(model, config, data, settings, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    crystals = rows = empty = pairs = 0
    started = 0.0
    for number, batch in enumerate(task.data.epoch(0, 0)):
        if number == 2:  # the first ones warm up
            started, crystals, rows, empty, pairs = time.process_time(), 0, 0, 0, 0
        if number == batches + 2:
            break
        loss, _ = task.objective.loss(task.network, batch, generator)
        loss.backward()
        species = batch.species
        count = len(batch)
        size = species.shape[1] if isinstance(batch, SymmetricBatch) else len(species) // count
        crystals, rows, pairs = crystals + count, rows + count * size, pairs + count * size**2
        empty += int((species == VACANCY).sum())
    return crystals / (time.process_time() - started), empty / rows, pairs / crystals


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="packed crystals, with scaffolds")
    parser.add_argument("--batches", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = PackedCrystals.load(options.data)
    data = data.select(data.batch.num_atoms <= MAX_ATOMS)
    print("| odds of 0, 1, 2, … empty rows | cells | crystals/s | empty rows | pairs/crystal |")
    print("|---|---|---|---|---|")
    for law, space in LAWS.items():
        for cells, share in (("any", 0.0), ("symmetric", 1.0)):
            if share and space.get("slots"):
                continue
            speed, empty, pairs = measure(data, space, share, options.batches)
            print(f"| {law} | {cells} | {speed:.0f} | {empty:.0%} | {pairs:.0f} |", flush=True)


if __name__ == "__main__":
    main()
