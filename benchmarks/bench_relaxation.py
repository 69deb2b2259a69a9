"""Batched relaxation against ASE's L-BFGS on a FrechetCellFilter, one crystal after another: same
potential, one process.

    python benchmarks/bench_relaxation.py [--potential pair] [--crystals 64] [--fmax 0.05] [--steps
    500] [--repeats 3]

Crystals are cells of ten atoms of eight binary compounds, relaxed, then moved by 0.1 Å and strained
by 3 %. `--potential` is the test potential `pair`, or a name such as dao-p or chgnet. Times are CPU
seconds of one thread, median over interleaved repeats. `same steps` takes the steps of ASE
(`lbfgs-ase`), `default` those of `lbfgs`; how close the results are is printed, too.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import ase
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.data import covalent_radii
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.potentials.convert import from_atoms, to_atoms
from ase_crysdiff.relaxation.engine import relaxations
from ase_crysdiff.relaxation.outcomes import Outcome
from ase_crysdiff.testing.pair_potential import PairPotential

ATOMS = 10
CRYSTALS = [
    ("NaCl", "rocksalt"),
    ("NiAl", "cesiumchloride"),
    ("GaAs", "zincblende"),
    ("MgO", "rocksalt"),
    ("CuZn", "cesiumchloride"),
    ("ZnS", "zincblende"),
    ("LiF", "rocksalt"),
    ("TiAl", "cesiumchloride"),
]
#: Side of the cubic cell in bond lengths.
SIDE = {"rocksalt": 2.0, "cesiumchloride": 2 / 3**0.5, "zincblende": 4 / 3**0.5}


def supercells(count: int, rng: np.random.Generator) -> list[Atoms]:
    """Cells of ten atoms of binary crystals, slightly out of place, so that none rests on a saddle
    point.
    """
    found = []
    for i in range(count):
        formula, prototype = CRYSTALS[i % len(CRYSTALS)]
        bond = covalent_radii[Atoms(formula).numbers].sum()
        atoms = make_supercell(
            bulk(formula, prototype, a=bond * SIDE[prototype]), [[1, 0, 0], [0, 2, 1], [0, -1, 2]]
        )
        assert len(atoms) == ATOMS
        atoms.positions += 0.05 * rng.standard_normal((ATOMS, 3))
        found.append(atoms)
    return found


def disturbed_minima(count: int, potential: Potential, rng: np.random.Generator) -> Configurations:
    """Relaxed cells, moved by 0.1 Å and strained by 3 %: about what a good generator gives."""
    minima: list[Atoms] = []
    while len(minima) < count:  # few, if any, do not converge
        outcomes = dict(
            relaxations(from_atoms(supercells(count, rng)), potential, fmax=0.02, steps=300)
        )
        minima += [to_atoms(o.final)[0] for o in outcomes.values() if o.converged]
    for atoms in minima:
        atoms.positions += 0.1 / np.sqrt(3) * rng.standard_normal((ATOMS, 3))
        strain = rng.standard_normal((3, 3))
        atoms.set_cell(
            atoms.cell.array
            @ (np.eye(3) + 0.03 * (strain + strain.T) / np.linalg.norm(strain + strain.T)),
            scale_atoms=True,
        )
    return from_atoms(minima[:count])


def serial(
    sets: Configurations, potential: Potential, fmax: float, steps: int
) -> list[tuple[float, int, bool]]:
    """ASE, one after another: energy, steps, converged."""
    found = []
    for atoms in to_atoms(sets):
        atoms.calc = PotentialCalculator(potential)
        run = LBFGS(FrechetCellFilter(atoms), logfile=None)
        converged = bool(run.run(fmax=fmax, steps=steps))
        found.append((float(atoms.get_potential_energy()), int(run.nsteps), converged))
    return found


def main() -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--potential", default="pair")
    parser.add_argument("--crystals", type=int, default=64)
    parser.add_argument("--fmax", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--max-atoms", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    potential = load(options.potential)
    sets = disturbed_minima(options.crystals, potential, np.random.default_rng(0))

    def batched(optimizer: str) -> Callable[[], list[tuple[float, int, bool]]]:
        def run() -> list[tuple[float, int, bool]]:
            found: dict[int, Outcome] = dict(
                relaxations(
                    sets,
                    potential,
                    fmax=options.fmax,
                    steps=options.steps,
                    optimizer=optimizer,
                    max_atoms=options.max_atoms,
                )
            )
            return [(found[i].energy, found[i].steps, found[i].converged) for i in range(len(sets))]

        return run

    runs: dict[str, Callable[[], list[tuple[float, int, bool]]]] = {
        "ase": lambda: serial(sets, potential, options.fmax, options.steps),
        "same steps": batched("lbfgs-ase"),
        "default": batched("lbfgs"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, Any] = {}
    for _ in range(options.repeats):
        for name, run in runs.items():
            started = time.process_time()
            results[name] = run()
            seconds[name].append(time.process_time() - started)
    median = {name: statistics.median(s) for name, s in seconds.items()}
    reference = np.array([r[0] for r in results["ase"]])
    report = {
        "potential": potential.name,
        "crystals": len(sets),
        "atoms": ATOMS,
        "fmax": options.fmax,
        "cpu_seconds": {name: round(value, 2) for name, value in median.items()},
        "faster": {name: round(median["ase"] / median[name], 2) for name in runs},
        "mean_steps": {
            name: round(float(np.mean([r[1] for r in found])), 1) for name, found in results.items()
        },
        "converged": {name: sum(r[2] for r in found) for name, found in results.items()},
        "within_1e-4_eV_per_atom_of_ase": {
            name: int((np.abs(np.array([r[0] for r in found]) - reference) < 1e-4 * ATOMS).sum())
            for name, found in results.items()
        },
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "ase_version": ase.__version__,
    }
    print(json.dumps(report))


def load(name: str) -> Potential:
    """The test potential or a named one."""
    if name == "pair":
        return PairPotential(dtype=torch.float32)
    from ase_crysdiff.potentials.loading import as_potential

    return as_potential(name)


if __name__ == "__main__":
    main()
