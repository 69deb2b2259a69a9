"""Structures in the order of their energy."""

from collections.abc import Sequence

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.crystal.batching import runs_of_size
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.relaxation.structures import configurations

#: Atoms that a potential sees at once.
_MAX_ATOMS = 2000


def rank(
    structures: Sequence[Structure], potential: Potential
) -> tuple[list[Structure], dict[int, str]]:
    """Structures by energy per atom, and the reason by index for those without one, which come last
    in their order.
    """
    energies: list[float] = []
    reasons: dict[int, str] = {}
    for run in runs_of_size([len(structure) for structure in structures], _MAX_ATOMS):
        batch = [structures[i] for i in run]
        evaluation = evaluate_each(potential, configurations(batch))
        for k, structure in enumerate(batch):
            energy = float(evaluation.energy[k]) / len(structure)
            if k in evaluation.failures or not np.isfinite(energy):
                reasons[index_of(structure)] = evaluation.failures.get(
                    k, f"{potential.name} gave no finite energy."
                )
                energy = np.inf
            energies.append(energy)
    order = sorted(range(len(structures)), key=lambda i: energies[i])
    ranked = []
    for i in order:
        more = {} if np.isinf(energies[i]) else {"crysdiff_energy_per_atom": energies[i]}
        ranked.append(structures[i].copy(properties={**structures[i].properties, **more}))
    return ranked, reasons


def index_of(structure: Structure) -> int:
    """Number of the draw that a structure came from; -1 if it was not drawn."""
    return int(structure.properties.get("crysdiff_index", -1))
