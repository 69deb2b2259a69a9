"""The samples of every target at rest in a potential, and in the order of their energies there."""

from collections.abc import Sequence
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.predictions import structure_of
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.progress import tqdm
from ase_crysdiff.relaxation.ranking import rank, relaxed
from ase_crysdiff.relaxation.settings import RELEASE, SYMPREC
from ase_crysdiff.relaxation.symmetric import KeptSymmetry
from ase_crysdiff.storage import Store

Row = Sequence[Structure | None]


def reranked(
    folder: Store, name: str, rows: Sequence[Row], potential: Potential, seed: int
) -> list[list[Structure | None]]:
    """The samples of each target as `StructureSampler.sample(..., potential=..., relax=True)` gives
    them: relaxed with their symmetry, those in contention without it, the best score first.

    Samples that are no crystals come last, as they are, and every target is kept as soon as it is
    done.

    Args:
        folder: Of the run.
        name: Of the journal.
        rows: For every target its samples in the order of the sampler.
        potential: Whose minima, energies and weight of that order.
        seed: Of the moves out of saddles.
    """
    journal = folder.journal(name, "target", "samples")
    done = {entry["target"]: entry["samples"] for entry in journal.read()}
    symmetry = KeptSymmetry(SYMPREC, RELEASE, seed)
    found: list[list[Structure | None]] = []
    for target, row in enumerate(tqdm(rows, desc=name, unit=" targets", disable=None)):
        if target not in done:
            sound = [s for s in row if s is not None and gate(s) is None]
            at_rest, _ = relaxed(sound, potential, symmetry, relax_cell=True)
            best_first, _ = rank(at_rest, potential)
            done[target] = [_entry(structure) for structure in best_first]
            journal.add([{"target": target, "samples": done[target]}])
        unsound = [s for s in row if s is None or gate(s) is not None]
        found.append([*map(structure_of, done[target]), *unsound])
    return found


def _entry(structure: Structure) -> dict[str, Any]:
    return {
        "lattice": structure.lattice.matrix.tolist(),
        "frac_coords": structure.frac_coords.tolist(),
        "species": [int(site.specie.Z) for site in structure],
        "energy_per_atom": structure.properties.get("crysdiff_energy_per_atom"),
    }
