"""Forces on the displaced atoms of many crystals, computed together."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crysdiff.crystal.batching import runs_of_size
from ase_crysdiff.crystal.convert import as_structure, check_structure, structure_to_atoms
from ase_crysdiff.crystal.soundness import gate, lonely
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.relaxation.engine import MAX_ATOMS
from ase_crysdiff.relaxation.evaluation import evaluate_each, unusable
from ase_crysdiff.relaxation.supercells import Supercell, repeats_of
from ase_crysdiff.symmetry.own_cell import operations_of


@dataclass(frozen=True)
class RepeatedCrystal:
    """A crystal as its symmetry wants it, and its repeats.

    Args:
        atoms: Of the cell.
        supercell: The repeats.
    """

    atoms: Atoms
    supercell: Supercell

    @staticmethod
    def of(entry: Any, symprec: float, min_length: float, max_atoms: int) -> "RepeatedCrystal":
        """The crystal that a user gives.

        Args:
            entry: An ordered structure or ASE atoms.
            symprec: Tolerance at which the symmetry is found, Å.
            min_length: Thickness that the repeats reach, Å.
            max_atoms: Of the repeats, unless the cell itself has more.

        Raises:
            InputError: If it cannot be used.
        """
        structure = as_structure(entry)
        check_structure(structure)
        problem = gate(structure) or lonely(structure)  # a gas has no frequency to be unstable by
        if problem is not None:
            raise InputError(f"The structure is not sound: {problem}.")
        known = operations_of(structure, symprec)
        rows = np.array(known.structure.lattice.matrix)
        repeats = repeats_of(rows, len(structure), min_length, max_atoms)
        places = np.array(known.structure.frac_coords)
        atoms = structure_to_atoms(known.structure)
        return RepeatedCrystal(atoms, Supercell(rows, places, known.operations, repeats))

    @property
    def has_no_modes(self) -> bool:
        """Whether nothing but the whole crystal could move."""
        return len(self.atoms) == 1 and self.supercell.repeats == (1, 1, 1)


def responses(
    crystals: Sequence[RepeatedCrystal], potential: Potential, length: float
) -> Iterator[tuple[NDArray[np.float64], str | None]]:
    """How the forces of each crystal change, per length of each displacement: what
    `force_constants` takes, eV/Å², or why there is nothing.

    Args:
        crystals: At rest.
        potential: Asked, in batches of displaced repeats of any of the crystals.
        length: Of the displacements, Å.
    """
    counts = [len(crystal.supercell.steps) for crystal in crystals]
    moved = (cell for crystal in crystals for cell in _moved(crystal, length))
    sizes = [
        len(crystal.atoms) * math.prod(crystal.supercell.repeats)
        for crystal, count in zip(crystals, counts, strict=True)
        for _ in range(count)
    ]
    said = forces_on(moved, potential, sizes)
    for crystal, count in zip(crystals, counts, strict=True):
        answers = [next(said) for _ in range(count)]
        reason = next((why for _, why in answers if why), None)
        if reason:
            yield np.zeros(0), f"{reason} (displaced by {length:g} Å)"
        else:
            forces = [forces for forces, _ in answers]
            yield crystal.supercell.differences(forces) / length, None


def _moved(crystal: RepeatedCrystal, length: float) -> Iterator[Atoms]:
    """The repeats after each step."""
    whole = crystal.atoms.repeat(crystal.supercell.repeats)
    for atom, direction in crystal.supercell.steps:
        cell = whole.copy()
        cell.positions[atom] += length * direction
        yield cell


def forces_on(
    cells: Iterable[Atoms], potential: Potential, sizes: Sequence[int] | None = None
) -> Iterator[tuple[NDArray[np.float64], str | None]]:
    """Forces on the atoms of each cell, eV/Å, or why there are none; computed in batches.

    Args:
        cells: Read as they are needed.
        potential: Asked.
        sizes: Atoms of each cell; None counts them.
    """
    if sizes is None:
        cells = list(cells)
        sizes = [len(cell) for cell in cells]
    rest = iter(cells)
    for run in runs_of_size(sizes, MAX_ATOMS):
        systems = from_atoms([next(rest) for _ in run])
        answer = evaluate_each(potential, systems)
        reasons = unusable(answer, systems, False, potential.name)
        parts = answer.forces.double().cpu().split(systems.num_atoms.tolist())
        for k, forces in enumerate(parts):
            yield forces.numpy(), reasons.get(k)
