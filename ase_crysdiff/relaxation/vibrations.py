"""Are crystals at rest in a minimum, or on a saddle that they leave by vibrating?"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff import arguments
from ase_crysdiff.crystal.batching import runs_of_size
from ase_crysdiff.crystal.convert import (
    as_structure,
    check_structure,
    entries_of,
    structure_to_atoms,
)
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.progress import tqdm
from ase_crysdiff.relaxation.engine import MAX_ATOMS
from ase_crysdiff.relaxation.evaluation import evaluate_each, unusable
from ase_crysdiff.relaxation.normal_modes import frequencies, wave_vectors
from ase_crysdiff.relaxation.supercells import Supercell, force_constants, repeats_of
from ase_crysdiff.symmetry.own_cell import operations_of

#: Thickness that repeated cells reach, Å, and atoms that they have at most.
MIN_LENGTH, MAX_REPEATED = 6.0, 256
#: Forces that a crystal at rest may feel, eV/Å.
AT_REST = 0.1
#: A mode is imaginary if its frequency is below this one, negative, THz.
TOLERANCE = 0.2
#: Tolerance, Å, at which the symmetry is found that saves displacements.
SYMPREC = 0.01


@dataclass(frozen=True)
class Vibrations:
    """What the vibrations of a crystal say of its stability.

    Args:
        stable: Whether no mode is imaginary; None if that is not known.
        lowest: Lowest frequency but for those of the whole crystal moving, THz; negative for an
            imaginary one; NaN if not known.
        imaginary: Imaginary modes beyond the tolerance, in all repeats together.
        supercell: How often the cell was repeated along its axes; the modes are all of those whose
            period fits in.
        point: Wave vector of the lowest mode, in reciprocal lattice vectors: 1/2 doubles an axis.
            None if not known.
        fmax: Largest force on an atom before it is displaced, eV/Å; NaN if not known.
        remark: Why nothing is known, or that a mode is imaginary; None for a stable crystal.
    """

    stable: bool | None
    lowest: float
    imaginary: int
    supercell: tuple[int, int, int] | None
    point: tuple[float, float, float] | None
    fmax: float
    remark: str | None


@own_state()
def lowest_modes(
    structures: Structure | Atoms | Iterable[Any],
    potential: PotentialLike = "dao-p",
    *,
    displacement: float = 0.01,
    min_length: float = MIN_LENGTH,
    max_atoms: int = MAX_REPEATED,
    fmax: float = AT_REST,
    tolerance: float = TOLERANCE,
    symprec: float = SYMPREC,
    progress: bool | None = None,
) -> list[Vibrations]:
    """The lowest vibrations of crystals at rest, one verdict for each, from displaced atoms in
    repeated cells, all computed together.

    Only displacements that the symmetry does not give are computed, as central differences; the
    force constants have the symmetry, and the modes of the moving crystal are taken out exactly.

    Args:
        structures: Ordered structures or ASE atoms, relaxed with the same potential. One that
            cannot be used has a remark and touches no other.
        potential: Name of a potential, a potential, or any ASE calculator.
        displacement: Of an atom, Å.
        min_length: Each axis is repeated once, twice, four times, ... until the repeats are so
            thick, Å: longer periods are not seen.
        max_atoms: Of the repeats; where they are more, there are fewer repeats.
        fmax: A crystal that feels a larger force, eV/Å, is not at rest, and its frequencies mean
            nothing.
        tolerance: A mode counts as imaginary if its frequency is below -tolerance, THz.
        symprec: Tolerance at which the symmetry is found, Å; the crystal is first moved to where
            its symmetry wants it.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If an option makes no sense.
        UnknownNameError: If there is no potential of that name.
    """
    for name, value in (("displacement", displacement), ("min_length", min_length)):
        arguments.above_zero(name, value, "Å")
    arguments.positive("max_atoms", max_atoms)
    arguments.above_zero("fmax", fmax, "eV/Å")
    arguments.not_negative("tolerance", tolerance, "THz")
    resolved, tolerated = as_potential(potential), arguments.symprec(symprec) or SYMPREC
    given = entries_of(structures)
    found: dict[int, Vibrations] = {}
    crystals: dict[int, _Crystal] = {}
    for position, entry in enumerate(given):
        try:
            crystals[position] = _Crystal.of(entry, tolerated, min_length, max_atoms)
        except InputError as error:
            found[position] = _unknown(str(error))
    at_rest: dict[int, float] = {}
    cells = [crystal.atoms for crystal in crystals.values()]
    for position, (forces, reason) in zip(crystals, _forces(cells, resolved), strict=True):
        size = math.nan if reason else float(np.linalg.norm(forces, axis=1).max())
        if reason is None and size > fmax:
            reason = (
                f"not at rest: an atom feels {size:.3g} eV/Å, above {fmax:g}; relax it with "
                f"{resolved.name} first"
            )
        if reason is None and crystals[position].has_no_modes:
            reason = "one atom repeated once has no vibrations; allow more by max_atoms"
        if reason is None:
            at_rest[position] = size
        else:
            found[position] = _unknown(reason, size)
    chosen = [crystals[position] for position in at_rest]
    bar = {"desc": "vibrations", "unit": " crystals", "total": len(chosen)}
    shown = None if progress is None else not progress
    moved = tqdm(_responses(chosen, resolved, displacement), disable=shown, **bar)
    for (position, size), (responses, reason) in zip(at_rest.items(), moved, strict=True):
        found[position] = (
            _unknown(reason, size)
            if reason
            else crystals[position].verdict(responses, size, tolerance)
        )
    return [found[position] for position in range(len(given))]


@dataclass(frozen=True)
class _Crystal:
    """A crystal as its symmetry wants it, and its repeats."""

    atoms: Atoms
    supercell: Supercell

    @staticmethod
    def of(entry: Any, symprec: float, min_length: float, max_atoms: int) -> "_Crystal":
        structure = as_structure(entry)
        check_structure(structure)
        known = operations_of(structure, symprec)
        rows = np.array(known.structure.lattice.matrix)
        repeats = repeats_of(rows, len(structure), min_length, max_atoms)
        places = np.array(known.structure.frac_coords)
        atoms = structure_to_atoms(known.structure)
        return _Crystal(atoms, Supercell(rows, places, known.operations, repeats))

    @property
    def has_no_modes(self) -> bool:
        return len(self.atoms) == 1 and self.supercell.repeats == (1, 1, 1)

    @property
    def steps(self) -> list[tuple[int, NDArray[np.float64]]]:
        """Atoms of the first cell, and the directions along which they are moved."""
        return [
            (move.atom, sign * move.direction)
            for move in self.supercell.displacements
            for sign in ((1,) if move.opposite is not None else (1, -1))
        ]

    def responses(self, forces: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Half of the difference between the forces after a step and after its opposite, eV/Å,
        shape (displacements, atoms, 3).
        """
        rest, found = iter(forces), []
        for move in self.supercell.displacements:
            forth = next(rest)
            if move.opposite is None:
                back = next(rest)
            else:
                back = np.empty_like(forth)
                places = self.supercell.image(move.opposite, move.atom)
                back[places] = forth @ self.supercell.rotations[move.opposite].T
            found.append((forth - back) / 2)
        return np.array(found)

    def verdict(self, responses: NDArray[np.float64], size: float, tolerance: float) -> Vibrations:
        """What the vibrations say."""
        repeats = self.supercell.repeats
        constants = force_constants(self.supercell, responses)
        modes = frequencies(constants, self.atoms.get_masses(), repeats)
        is_moving = np.zeros(modes.shape, dtype=bool)
        is_moving[0, np.argsort(np.abs(modes[0]))[:3]] = True
        modes = np.where(is_moving, np.inf, modes)
        where, _ = np.unravel_index(int(modes.argmin()), modes.shape)
        lowest, imaginary = float(modes.min()), int((modes < -tolerance).sum())
        first, second, third = wave_vectors(repeats)[where].tolist()
        point = (first, second, third)
        named = f"the lowest at {-lowest:.2f}i THz, wave vector {first:g} {second:g} {third:g}"
        return Vibrations(
            stable=not imaginary,
            lowest=lowest,
            imaginary=imaginary,
            supercell=repeats,
            point=point,
            fmax=size,
            remark=f"{imaginary} imaginary modes, {named}" if imaginary else None,
        )


def _responses(
    crystals: Sequence[_Crystal], potential: Potential, length: float
) -> Iterator[tuple[NDArray[np.float64], str | None]]:
    """Changes of the forces per length of each displacement, eV/Å², of each crystal, or why there
    are none.
    """
    counts = [len(crystal.steps) for crystal in crystals]
    moved = (cell for crystal in crystals for cell in _moved(crystal, length))
    sizes = [
        len(crystal.atoms) * math.prod(crystal.supercell.repeats)
        for crystal, count in zip(crystals, counts, strict=True)
        for _ in range(count)
    ]
    said = _forces(moved, potential, sizes)
    for crystal, count in zip(crystals, counts, strict=True):
        answers = [next(said) for _ in range(count)]
        reason = next((why for _, why in answers if why), None)
        if reason:
            yield np.zeros(0), f"{reason} (displaced by {length:g} Å)"
        else:
            yield crystal.responses([forces for forces, _ in answers]) / length, None


def _moved(crystal: _Crystal, length: float) -> Iterator[Atoms]:
    """The repeats after each step."""
    whole = crystal.atoms.repeat(crystal.supercell.repeats)
    for atom, direction in crystal.steps:
        cell = whole.copy()
        cell.positions[atom] += length * direction
        yield cell


def _forces(
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


def _unknown(reason: str, size: float = math.nan) -> Vibrations:
    return Vibrations(None, math.nan, 0, None, None, size, reason)
