"""Energy, forces and stress per ASE step: dao-p against CHGNet in the same process, one thread,
cells of 8, 20 and 64 atoms.

    python benchmarks/bench_potential.py [--weights FOLDER] [--repeats 9] [--chgnet-calculator]

Every step moves the atoms a little, so that nothing is cached; times are CPU seconds, the median
over interleaved repeats. `--chgnet-calculator` measures CHGNet through its own ASE calculator
instead of ours.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.potentials.loading import load_potential


def systems() -> list[Atoms]:
    """Rocksalt, a perovskite supercell of 20 atoms, and rocksalt again, slightly out of place."""
    perovskite = Atoms(
        "SrTiO3",
        cell=[3.905] * 3,
        pbc=True,
        scaled_positions=[[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    )
    rocksalt = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    found = [rocksalt, perovskite * (2, 2, 1), rocksalt * (2, 2, 2)]
    for atoms in found:
        atoms.rattle(0.05, seed=1)
    return found


def seconds_of_a_step(atoms: Atoms, calculator: Any, rng: np.random.Generator) -> float:
    """CPU seconds of one evaluation after a move."""
    atoms = atoms.copy()
    atoms.positions += 0.01 * rng.standard_normal((len(atoms), 3))
    atoms.calc = calculator
    started = time.process_time()
    atoms.get_potential_energy()
    atoms.get_forces()
    atoms.get_stress()
    return time.process_time() - started


def main() -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--chgnet-calculator", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours = PotentialCalculator(load_potential("dao-p", options.weights))
    if options.chgnet_calculator:
        from chgnet.model.dynamics import CHGNetCalculator

        theirs: Any = CHGNetCalculator(use_device="cpu")
    else:
        theirs = PotentialCalculator(load_potential("chgnet"))
    rng = np.random.default_rng(0)
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "atoms": {},
    }
    for atoms in systems():
        times: dict[str, list[float]] = {"dao-p": [], "chgnet": []}
        for repeat in range(options.repeats + 1):
            for name, calculator in (("dao-p", ours), ("chgnet", theirs)):
                seconds = seconds_of_a_step(atoms, calculator, rng)
                if repeat:  # the first is a warm-up
                    times[name].append(seconds)
        medians = {name: statistics.median(values) for name, values in times.items()}
        result["atoms"][len(atoms)] = {
            f"{name} ms": round(1e3 * m, 2) for name, m in medians.items()
        } | {"ratio": round(medians["chgnet"] / medians["dao-p"], 2)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
