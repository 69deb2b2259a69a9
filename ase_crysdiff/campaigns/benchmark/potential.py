"""Formation energies against data, forces against a reference, and relaxing back."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult
from ase_crysdiff.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.potentials.base import Potential

_COLUMN = "formation_energy_per_atom"


@dataclass(frozen=True, kw_only=True)
class PotentialOptions:
    """Options of `potential`.

    Args:
        potential: name of a potential, such as dao-p
        structures: CSV with the columns cif and formation_energy_per_atom (eV/atom)
        weights: folder with other weights
        limit: use the first so many structures only
        reference: potential that forces are compared with
        rattled: structures, evenly spread, whose forces are compared
        relaxed: structures, evenly spread, that are relaxed twice
        amplitude: standard deviation of each coordinate, Å
        strain: standard deviation of the strain's entries
        seed: of the displacements and strains
        output: JSON file of the result
    """

    potential: str
    structures: Path
    weights: str | None = None
    limit: int | None = None
    reference: str = "chgnet"
    rattled: int = 200
    relaxed: int = 200
    amplitude: float = 0.1
    strain: float = 0.03
    seed: int = 0
    output: Path = Path("potential.json")


def potential(options: PotentialOptions) -> BenchmarkResult:
    """Errors of a potential's formation energies and forces, and whether crystals relax back.

    Args:
        options: What is asked for.

    Returns:
        `results`: numbers by name with their unit. Energies are compared with the data, forces on
        rattled copies with another potential; crystals are relaxed, moved and strained, and relaxed
        again.

    Raises:
        InputError: If the file holds no structures with energies.
        UnknownNameError: If there is no potential of a name.
    """
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.run import written
    from ase_crysdiff.potentials.loading import load_potential
    from ase_crysdiff.storage import ensure_writable

    ensure_writable(options.output.parent)
    structures, known = _read(options.structures, options.limit)
    ours = load_potential(options.potential, options.weights)
    results: dict[str, Any] = {}
    started = time.perf_counter()
    results |= _formation(structures, known, ours)
    amplitude, strain, seed = options.amplitude, options.strain, options.seed
    if options.rattled:
        chosen, theirs = _spread(structures, options.rattled), load_potential(options.reference)
        results |= _forces(chosen, ours, theirs, amplitude, seed)
    if options.relaxed:
        chosen = _spread(structures, options.relaxed)
        results |= _returns(chosen, ours, amplitude, strain, seed)
    names = ("limit", "rattled", "relaxed", "amplitude", "strain", "seed")
    content = {
        "potential": options.potential,
        "reference": options.reference,
        "structures": options.structures.name,
        "settings": {name: getattr(options, name) for name in names},
        "seconds": round(time.perf_counter() - started, 1),
        "machine": machine("cpu"),
        "results": results,
    }
    text = "\n".join(f"{name:48} {value:.4g}" for name, value in results.items())
    return written(content, text, options.output)


BENCHMARK = Benchmark(
    potential, PotentialOptions, "energies, forces and relaxations of a potential"
)


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
