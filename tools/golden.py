"""Keeps what the shipped models answer, through changes of the code that must not change it.

    python tools/golden.py write before.npz        # in the old tree
    python tools/golden.py compare before.npz      # in the new one: the same to the bit, or by how
    much not

Uses the public surface alone, so that it runs in any tree that has it. Numbers belong to one type
of machine.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from calculators import DAOPCalculator
from pymatgen_ext import EnergyGuidance, StructurePredictor, StructureSampler, relax
from pymatgen_ext.predictors import available_predictors

Arrays = dict[str, NDArray[Any]]


def crystals() -> list[Structure]:
    """A few crystals of several systems, two of them moved off their places."""
    cubic, hexagonal = Lattice.cubic, Lattice.hexagonal
    found = [
        Structure.from_spacegroup("Fm-3m", cubic(4.21), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        Structure.from_spacegroup("Fd-3m", cubic(5.43), ["Si"], [[0, 0, 0]]),
        Structure.from_spacegroup(
            "Pm-3m", cubic(3.91), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]
        ),
        Structure.from_spacegroup(
            "P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
        ),
        Structure.from_spacegroup(
            "P6/mmm", hexagonal(3.08, 3.52), ["Mg", "B"], [[0, 0, 0], [1 / 3, 2 / 3, 0.5]]
        ),
        Structure.from_spacegroup(
            "R-3m",
            hexagonal(2.82, 14.05),
            ["Li", "Co", "O"],
            [[0, 0, 0], [0, 0, 0.5], [0, 0, 0.24]],
        ),
    ]
    for k in (2, 3):
        moved = found[k].copy()
        moved.perturb(0.1, seed=k)
        found.append(moved)
    return found


def drawn(samples: Iterable[Structure]) -> Arrays:
    """Cells, places and elements of a set."""
    samples = list(samples)
    return {
        "lattice": np.array([s.lattice.matrix for s in samples]).reshape(-1, 3, 3),
        "frac_coords": np.concatenate([np.zeros((0, 3)), *(s.frac_coords for s in samples)]),
        "numbers": np.array([site.specie.Z for s in samples for site in s]),
    }


def samplers() -> dict[str, Arrays]:
    """Draws of every shipped sampler, for each kind of request."""
    host = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.14), ["O"], [[0.25, 0.25, 0.25]]
    ).get_primitive_structure()
    seed = crystals()[3]
    miad, flow = StructureSampler("miad"), StructureSampler("dao-g-flow")
    quiet: dict[str, Any] = {"seed": 7, "progress": False}
    found = {
        "miad": miad.sample(8, **quiet),
        "miad, chemical system": miad.sample(8, chemical_system="Li-Mn-O", **quiet),
        "miad, elements and atoms": miad.sample(8, elements="Sr-Ti-O", num_atoms=5, **quiet),
        "miad, vary": miad.vary(seed, strength=0.3, num_samples=4, **quiet),
        "dao-g-flow": flow.sample(8, composition="SrTiO3", **quiet),
        "dao-g-flow, vary": flow.vary(seed, strength=0.3, num_samples=4, **quiet),
        "dao-g-flow, guided": flow.sample(
            4, composition="TiO2", conditions=[EnergyGuidance("dao-p", 20.0)], **quiet
        ),
        "dao-g-flow, noisily guided": flow.sample(
            4, composition="TiO2", conditions=[EnergyGuidance("dao-p-noisy", 5.0)], **quiet
        ),
        "dao-g-flow, ranked": flow.sample(
            4, composition="TiO2", potential="dao-p", symprec=0.1, distinct=True, **quiet
        ),
        "dao-g": StructureSampler("dao-g").sample(
            8, composition="SrTiO3", formula_units=(1, 2), **quiet
        ),
        "dao-g-perov5": StructureSampler("dao-g-perov5").sample(8, composition="SrTiO3", **quiet),
        "chggen": StructureSampler("chggen").inpaint(host, {"Li": 2}, num_samples=8, **quiet),
        "chggen, range": StructureSampler("chggen").inpaint(
            host, {"Li": (0, 3)}, num_samples=8, **quiet
        ),
        "chggen, resampled": StructureSampler("chggen").inpaint(
            host, {"Li": 2}, num_samples=2, repeats=2, relax_cell=True, **quiet
        ),
    }
    return {name: drawn(samples) for name, samples in found.items()}


def predictors() -> dict[str, Arrays]:
    """Values of every shipped predictor."""
    given = crystals()
    return {
        name: {"values": np.asarray(StructurePredictor(name).predict(given))}
        for name in available_predictors()
    }


def potentials() -> dict[str, Arrays]:
    """Energies, forces, stresses and relaxed cells."""
    found = {}
    for number, crystal in enumerate([*crystals(), crystals()[6] * (2, 2, 2)]):
        atoms = crystal.to_ase_atoms()
        atoms.calc = DAOPCalculator()
        answers = {
            "energy": np.array([atoms.get_potential_energy()]),
            "forces": atoms.get_forces(),
            "stress": atoms.get_stress(),
        }
        found[f"dao-p, crystal {number}"] = answers
    relaxed = relax(crystals(), "dao-p", fmax=0.02, relax_cell=True, progress=False)
    return found | {"relax": drawn(r.structure for r in relaxed)}


def digest(arrays: Arrays) -> str:
    """Of all numbers of an entry."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()[:12]


def difference(old: NDArray[Any], new: NDArray[Any]) -> float:
    """Largest difference, as a share of the largest number; infinite for another shape."""
    if old.shape != new.shape:
        return float("inf")
    both = np.isfinite(old) & np.isfinite(new)
    if not np.array_equal(np.isfinite(old), np.isfinite(new)):
        return float("inf")
    return float(
        np.abs(old - new)[both].max(initial=0) / max(1.0, np.abs(old)[both].max(initial=0))
    )


def main() -> int:
    """Writes or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("write", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        help="largest relative difference that passes (default 0)",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    entries = samplers() | predictors() | potentials()
    if options.action == "write":
        np.savez(
            options.file,
            **{
                f"{name}|{field}": a
                for name, arrays in entries.items()
                for field, a in arrays.items()
            },
        )
        print("\n".join(f"{digest(arrays)}  {name}" for name, arrays in entries.items()))
        return 0
    changed = 0
    with np.load(options.file) as before:
        names = dict.fromkeys(key.partition("|")[0] for key in before)
        for name in names:
            fields = {
                key.partition("|")[2]: before[key]
                for key in before
                if key.partition("|")[0] == name
            }
            worst = max(
                (
                    difference(a, entries.get(name, {}).get(f, np.zeros(0)))
                    for f, a in fields.items()
                ),
                default=0.0,
            )
            changed += worst > options.tolerance
            print(f"{'same' if worst == 0 else f'{worst:.1e}':8s}  {name}")
    print(f"{changed} of {len(names)} entries differ")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
