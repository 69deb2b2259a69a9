"""Cost of one call of `DAOPCalculator` (energy, forces and stress together) as cells grow: CPU
seconds and memory, one thread, rattled supercells of MgO.

    python benchmarks/bench_large_systems.py [--atoms 64 512 1000 8000] [--repeats 3]
    python benchmarks/bench_large_systems.py --against FOLDER

Every size is measured in a process of its own, so that its peak of memory is its own; the atoms
move a little before every call, so that nothing is cached. Seconds are the least of the repeats:
other programs only ever add to them. `--against` measures another checkout of the package in turn
with this one, size by size; it must be able to find its entry points in that folder.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

_PROBE = "--probe"


def measure(atoms_wanted: int, repeats: int) -> dict[str, float]:
    """Seconds and megabytes of a call in this process.

    Args:
        atoms_wanted: Eight times a product of three whole numbers, as near to a cube as it goes.
        repeats: Calls after the first, which is not counted.
    """
    import torch
    from ase.build import bulk

    from calculators import DAOPCalculator

    torch.set_num_threads(1)
    cells = atoms_wanted // 8
    sides = max(
        (
            (a, b, cells // (a * b))
            for a in range(1, cells + 1)
            for b in range(a, cells + 1)
            if cells % (a * b) == 0
        ),
        key=lambda sides: (min(sides), -max(sides)),
    )
    atoms = bulk("MgO", "rocksalt", 4.21, cubic=True) * sides
    atoms.rattle(0.05, seed=1)
    warm = bulk("MgO", "rocksalt", 4.21)
    warm.calc = calculator = DAOPCalculator(device="cpu")
    warm.get_potential_energy()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    atoms.calc = calculator
    rng = np.random.default_rng(0)
    times = []
    for _ in range(repeats + 1):
        atoms.positions += 0.01 * rng.standard_normal((len(atoms), 3))
        started = time.process_time()
        atoms.get_potential_energy()
        atoms.get_forces()
        atoms.get_stress()
        times.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"atoms": len(atoms), "seconds": min(times[1:]), "mb": (peak - before) / 1024}


def in_a_process(atoms: int, repeats: int, checkout: Path) -> dict[str, float]:
    """`measure` in a new process that imports the package from a checkout."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}  # noqa: TID251
    command = [sys.executable, __file__, _PROBE, str(atoms), str(repeats)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Prints one line per size."""
    if sys.argv[1:2] == [_PROBE]:
        print(json.dumps(measure(int(sys.argv[2]), int(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--atoms", type=int, nargs="+", default=[64, 512, 1000, 8000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1, help="turns of the two checkouts")
    parser.add_argument("--against", type=Path, help="another checkout")
    options = parser.parse_args()
    checkouts = {"here": Path(__file__).parents[1]}
    if options.against:
        checkouts["there"] = options.against
    print(f"{'atoms':>8} {'checkout':>9} {'seconds':>9} {'ms/atom':>8} {'MB':>7} {'kB/atom':>8}")
    for atoms in options.atoms:
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
        for _ in range(options.rounds):
            for name, folder in checkouts.items():
                rows[name].append(in_a_process(atoms, options.repeats, folder.resolve()))
        for name, found in rows.items():
            best = min(found, key=lambda row: row["seconds"])
            count, seconds, mb = best["atoms"], best["seconds"], best["mb"]
            print(
                f"{count:8.0f} {name:>9} {seconds:9.3f} {1e3 * seconds / count:8.3f} {mb:7.0f} "
                f"{1024 * mb / count:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
