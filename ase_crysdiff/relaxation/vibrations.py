"""Are crystals at rest in a minimum, or on a saddle that they leave by vibrating?"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff import arguments
from ase_crysdiff.crystal.convert import entries_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.progress import tqdm
from ase_crysdiff.relaxation.displaced import RepeatedCrystal, forces_on, responses
from ase_crysdiff.relaxation.normal_modes import frequencies, wave_vectors
from ase_crysdiff.relaxation.supercells import force_constants

#: Thickness that repeated cells reach, Å, and atoms that they have at most. Of 100 near-hull
#: crystals of `mp/val` 16 have imaginary modes at 6 Å by dao-p, 16 at 8 Å and 17 at 10 Å.
MIN_LENGTH, MAX_REPEATED = 6.0, 256
#: Forces that a crystal at rest may feel, eV/Å: what relaxing leaves, and what symmetrising adds.
AT_REST = 0.1
#: A mode is imaginary if its frequency is below this one, negative, THz. Of those 100 crystals two
#: have their lowest between -0.2 and -0.05. Single precision and the length of the displacement
#: move the lowest by 0.01; forces of 0.05 eV/Å that are left take 3 layered or molecular crystals
#: below, and none with 0.3.
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
    crystals: dict[int, RepeatedCrystal] = {}
    for position, entry in enumerate(given):
        try:
            crystals[position] = RepeatedCrystal.of(entry, tolerated, min_length, max_atoms)
        except InputError as error:
            found[position] = _unknown(str(error))
    sizes, refused = _at_rest(crystals, resolved, fmax)
    found |= refused
    chosen = [crystals[position] for position in sizes]
    bar = {"desc": "vibrations", "unit": " crystals", "total": len(chosen)}
    shown = None if progress is None else not progress
    moved = tqdm(responses(chosen, resolved, displacement), disable=shown, **bar)
    for (position, size), (changes, reason) in zip(sizes.items(), moved, strict=True):
        found[position] = (
            _unknown(reason, size)
            if reason
            else _verdict(crystals[position], changes, size, tolerance)
        )
    return [found[position] for position in range(len(given))]


def _at_rest(
    crystals: Mapping[int, RepeatedCrystal], potential: Potential, fmax: float
) -> tuple[dict[int, float], dict[int, Vibrations]]:
    """The largest forces on the crystals that are at rest, eV/Å, and what is said of the others."""
    sizes: dict[int, float] = {}
    refused: dict[int, Vibrations] = {}
    cells = [crystal.atoms for crystal in crystals.values()]
    for position, (forces, reason) in zip(crystals, forces_on(cells, potential), strict=True):
        size = math.nan if reason else float(np.linalg.norm(forces, axis=1).max())
        if reason is None and size > fmax:
            reason = (
                f"not at rest: an atom feels {size:.3g} eV/Å, above {fmax:g}; relax it with "
                f"{potential.name} first"
            )
        if reason is None and crystals[position].has_no_modes:
            reason = "one atom repeated once has no vibrations; allow more by max_atoms"
        if reason is None:
            sizes[position] = size
        else:
            refused[position] = _unknown(reason, size)
    return sizes, refused


def _verdict(
    crystal: RepeatedCrystal, changes: NDArray[np.float64], size: float, tolerance: float
) -> Vibrations:
    """What the vibrations say.

    Args:
        crystal: At rest.
        changes: Of its forces, per length of each displacement, eV/Å².
        size: Its largest force, eV/Å.
        tolerance: Below minus this a mode is imaginary, THz.
    """
    repeats = crystal.supercell.repeats
    constants = force_constants(crystal.supercell, changes)
    modes = frequencies(constants, crystal.atoms.get_masses(), repeats)
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


def _unknown(reason: str, size: float = math.nan) -> Vibrations:
    return Vibrations(None, math.nan, 0, None, None, size, reason)
