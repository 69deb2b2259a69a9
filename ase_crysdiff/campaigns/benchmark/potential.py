"""`crysdiff benchmark potential`: formation energies against data, forces against a reference, and
relaxing back.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.potentials.base import Potential

_COLUMN = "formation_energy_per_atom"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("potential", help="name of a potential, such as dao-p")
    parser.add_argument(
        "--structures",
        type=Path,
        required=True,
        help=f"CSV with the columns cif and {_COLUMN} (eV/atom)",
    )
    parser.add_argument("--weights", help="folder with other weights")
    parser.add_argument("--limit", type=int, help="use the first so many structures only")
    parser.add_argument(
        "--reference",
        default="chgnet",
        help="potential that forces are compared with (default chgnet)",
    )
    parser.add_argument(
        "--rattled",
        type=int,
        default=200,
        help="structures, evenly spread, whose forces are compared",
    )
    parser.add_argument(
        "--relaxed", type=int, default=200, help="structures, evenly spread, that are relaxed twice"
    )
    parser.add_argument(
        "--amplitude",
        type=float,
        default=0.1,
        help="standard deviation of each coordinate, Å (default 0.1)",
    )
    parser.add_argument(
        "--strain",
        type=float,
        default=0.03,
        help="standard deviation of the strain's entries (default 0.03)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("potential.json"),
        help="result (default potential.json)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measures and writes; prints one line per number."""
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.potentials.loading import load_potential
    from ase_crysdiff.storage import ensure_writable, write_text

    ensure_writable(options.output.parent)
    structures, known = _read(options.structures, options.limit)
    potential = load_potential(options.potential, options.weights)
    results: dict[str, Any] = {}
    started = time.perf_counter()
    results |= _formation(structures, known, potential)
    if options.rattled:
        chosen = _spread(structures, options.rattled)
        results |= _forces(
            chosen, potential, load_potential(options.reference), options.amplitude, options.seed
        )
    if options.relaxed:
        results |= _returns(
            _spread(structures, options.relaxed),
            potential,
            options.amplitude,
            options.strain,
            options.seed,
        )
    content = {
        "potential": options.potential,
        "reference": options.reference,
        "structures": options.structures.name,
        "settings": {
            name: getattr(options, name)
            for name in ("limit", "rattled", "relaxed", "amplitude", "strain", "seed")
        },
        "seconds": round(time.perf_counter() - started, 1),
        "machine": machine("cpu"),
        "results": results,
    }
    write_text(options.output, json.dumps(content, indent=1) + "\n")
    for name, value in results.items():
        print(f"{name:48} {value:.4g}")
    print(f"Written to {options.output}")
    return 0


def _read(path: Path, limit: int | None) -> tuple[list["Structure"], list[float]]:
    from itertools import islice

    from ase_crysdiff.data.readers import read_records

    structures, known = [], []
    for record in islice(read_records(path), limit):
        structures.append(record.load())
        known.append(record.values.get(_COLUMN, math.nan))
    if all(math.isnan(x) for x in known):
        raise InputError(
            f"{path} holds no structures with a number in the column {_COLUMN}, which energies are "
            "compared with."
        )
    return structures, known


def _spread(structures: Sequence["Structure"], count: int) -> list["Structure"]:
    """So many structures at even distances in the file."""
    count = min(count, len(structures))
    return [structures[i * len(structures) // count] for i in range(count)]


def _formation(
    structures: list["Structure"], known: list[float], potential: "Potential"
) -> dict[str, float]:
    import numpy as np

    from ase_crysdiff.metrics.formation import formation_energies

    found = formation_energies(structures, potential)
    errors = np.abs(found.formation_energy - np.array(known))
    return {
        "formation energy MAE, eV/atom": float(np.nanmean(errors)),
        "formation energy median error, eV/atom": float(np.nanmedian(errors)),
        "formation energy structures": float(np.isfinite(errors).sum()),
        "formation energy failures": float(len(found.failures)),
    }


def _moved(
    structures: list["Structure"], amplitude: float, strain: float, seed: int
) -> list["Structure"]:
    """Copies with normal displacements of every coordinate, and a normal strain."""
    import numpy as np
    from pymatgen.core import Lattice, Structure

    generator = np.random.default_rng(seed)
    moved = []
    for structure in structures:
        change = strain * generator.standard_normal((3, 3))
        deformation = np.eye(3) + (change + change.T) / 2
        shifts = amplitude * generator.standard_normal((len(structure), 3))
        places = structure.cart_coords @ deformation + shifts
        lattice = Lattice(structure.lattice.matrix @ deformation)
        moved.append(Structure(lattice, structure.species, places, coords_are_cartesian=True))
    return moved


def _forces(
    structures: list["Structure"],
    potential: "Potential",
    reference: "Potential",
    amplitude: float,
    seed: int,
) -> dict[str, float]:
    """Errors against the other potential on rattled structures that both can compute."""
    import torch

    from ase_crysdiff.crystal.convert import structure_to_atoms
    from ase_crysdiff.potentials.convert import from_atoms
    from ase_crysdiff.relaxation.evaluation import evaluate_each

    given = from_atoms([structure_to_atoms(s) for s in _moved(structures, amplitude, 0.0, seed)])
    ours, theirs = evaluate_each(potential, given), evaluate_each(reference, given)
    energy = (ours.energy - theirs.energy).abs() / given.num_atoms
    good = torch.isfinite(energy)
    forces, stress = (
        (ours.forces - theirs.forces)[good[given.index]].abs(),
        (ours.stress - theirs.stress)[good].abs(),
    )
    return {
        "rattled: force MAE, eV/Å": float(forces.mean()),
        "rattled: energy MAE, eV/atom": float(energy[good].mean()),
        "rattled: stress MAE, eV/Å³": float(stress.mean()),
        "rattled: structures": float(good.sum()),
    }


def _returns(
    structures: list["Structure"],
    potential: "Potential",
    amplitude: float,
    strain: float,
    seed: int,
) -> dict[str, float]:
    """Relaxes, moves and strains the result, relaxes again: does it converge, and to the same
    crystal?
    """
    from ase_crysdiff.metrics.matching import match, reduced
    from ase_crysdiff.relaxation.structures import relax

    first = [r for r in relax(structures, potential) if r.converged and r.structure is not None]
    minima = [r.structure for r in first if r.structure is not None]
    again = relax(_moved(minima, amplitude, strain, seed + 1), potential)
    back = [
        r.converged and r.structure is not None and match(reduced(r.structure), reduced(s))
        for r, s in zip(again, minima, strict=True)
    ]
    count = max(len(minima), 1)
    return {
        "relaxation: converged from the data, %": 100 * len(minima) / len(structures),
        "relaxation: converged again, %": 100 * sum(r.converged for r in again) / count,
        "relaxation: back to the same crystal, %": 100 * sum(back) / count,
        "relaxation: mean steps of the second": sum(r.steps for r in again) / count,
    }
