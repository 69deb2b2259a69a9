"""`relax`: structures down to the next minimum, many at once."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import covalent_radii
from pymatgen.core import Lattice, Structure
from tqdm import tqdm

from ase_crysdiff.constants import ACCEPT_FRACTION
from ase_crysdiff.crystal.close_pairs import close_pairs
from ase_crysdiff.crystal.convert import as_structure, check_structure, entries_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.engine import MAX_ATOMS, Outcome, check_options, relaxations
from ase_crysdiff.relaxation.settings import FMAX, STEPS

#: A relaxed cell may differ from the first one by this share of its volume.
MAX_VOLUME_CHANGE = 0.2
#: Energies per atom that differ by less are taken as equal, eV: single precision on a total energy.
_ENERGY_RESOLUTION = 1e-5


@dataclass(frozen=True)
class RelaxResult:
    """What became of one structure.

    Args:
        structure: Where it came to rest; after a failure where its forces were smallest, and as it
            was given if it could not be evaluated at all. None in place of what is neither a
            structure nor periodic atoms.
        converged: Whether `fmax` is below the limit.
        steps: Steps taken.
        energy: Total energy of `structure`, eV; NaN if it could not be evaluated.
        fmax: Largest force on an atom or a row of the cell, eV/Å; NaN if it could not be evaluated.
        first_energy: Total energy before, eV; NaN if it could not be evaluated.
        accepted: Whether the result is trusted: nothing failed, the energy has not risen, the
            volume has changed by less than 20 %, no two atoms are closer than 0.7 of the sum of
            their covalent radii, and the formula is the same. A structure that ran out of steps may
            be accepted; `converged` tells.
        reason: Why it is not accepted or not converged; None if it is both.
    """

    structure: Structure | None
    converged: bool
    steps: int
    energy: float
    fmax: float
    first_energy: float
    accepted: bool
    reason: str | None = None

    @property
    def energy_per_atom(self) -> float:
        """eV/atom."""
        return self.energy / len(self.structure) if self.structure else math.nan


def relax(
    structures: Structure | Atoms | Iterable[Any],
    potential: PotentialLike = "dao-p",
    *,
    fmax: float = FMAX,
    steps: int = STEPS,
    relax_cell: bool = True,
    optimizer: str = "lbfgs",
    progress: bool | None = None,
    max_atoms: int = MAX_ATOMS,
) -> list[RelaxResult]:
    """Relaxes structures in batches, each one by itself; one result per structure, in the given
    order.

    Args:
        structures: Ordered structures or ASE atoms, periodic along all axes. They are not changed.
            One that cannot be used is reported in its result, and the others are relaxed.
        potential: Name of a potential ("dao-p", "chgnet"), which runs on a GPU where there is one;
            a potential, or any ASE calculator.
        fmax: Converged when no atom and no row of the cell feels a larger force, eV/Å.
        steps: At most so many per structure.
        relax_cell: Whether the cell moves, too.
        optimizer: "lbfgs", "fire", or "lbfgs-ase", which takes the same steps as
            `ase.optimize.LBFGS` on a `FrechetCellFilter`.
        progress: Whether to show a progress bar; None shows one on a terminal.
        max_atoms: Atoms that are computed together; lower it if memory runs out.

    Raises:
        InputError: If an option makes no sense.
        UnknownNameError: If there is no potential of that name.
    """
    check_options(fmax, steps, optimizer, max_atoms)
    given = entries_of(structures)
    found = iter_relax(
        given, as_potential(potential), fmax, steps, relax_cell, optimizer, max_atoms
    )
    bar = tqdm(
        found,
        total=len(given),
        desc="relax",
        unit=" crystals",
        disable=None if progress is None else not progress,
    )
    results = dict(bar)
    return [results[i] for i in range(len(given))]


def iter_relax(
    structures: Iterable[Any],
    potential: Potential,
    fmax: float,
    steps: int,
    relax_cell: bool,
    optimizer: str,
    max_atoms: int,
) -> Iterator[tuple[int, RelaxResult]]:
    """Relaxes structures in batches and gives (position, result) as soon as one is done, so in
    any order.
    """
    usable: dict[int, Structure] = {}
    for position, entry in enumerate(structures):
        try:
            structure = as_structure(entry)
            check_structure(structure)
        except InputError as error:
            shown = entry if isinstance(entry, Structure) else None
            yield (
                position,
                RelaxResult(shown, False, 0, math.nan, math.nan, math.nan, False, str(error)),
            )
        else:
            usable[position] = structure
    positions = list(usable)
    found = relaxations(
        configurations(list(usable.values())),
        potential,
        fmax=fmax,
        steps=steps,
        relax_cell=relax_cell,
        optimizer=optimizer,
        max_atoms=max_atoms,
    )
    for k, outcome in found:
        yield positions[k], _result(usable[positions[k]], outcome, fmax)


def configurations(structures: Sequence[Structure]) -> Configurations:
    """Ordered structures as a potential reads them, in double precision."""
    count = len(structures)
    return Configurations(
        torch.tensor(np.concatenate([*(s.cart_coords for s in structures), np.zeros((0, 3))])),
        torch.tensor(np.array([s.lattice.matrix for s in structures]).reshape(-1, 3, 3)),
        torch.ones(count, 3, dtype=torch.bool),
        torch.tensor([site.specie.Z for s in structures for site in s], dtype=torch.long),
        torch.tensor([len(s) for s in structures], dtype=torch.long),
    )


def _result(first: Structure, outcome: Outcome, fmax: float) -> RelaxResult:
    """The outcome as a structure that keeps all else of the first one, with a verdict."""
    final = first.copy()
    final.lattice = Lattice(outcome.final.cells[0].cpu().numpy())
    for site, position in zip(final, outcome.final.positions.cpu().numpy(), strict=True):
        site.coords = position
    reason = outcome.failure or rejection_reason(first, final, outcome.first_energy, outcome.energy)
    accepted = reason is None
    if reason is None and not outcome.converged:
        reason = (
            f"not converged: after {outcome.steps} steps the largest force is {outcome.fmax:.3g} "
            f"eV/Å, above {fmax:g}"
        )
    return RelaxResult(
        final,
        outcome.converged,
        outcome.steps,
        outcome.energy,
        outcome.fmax,
        outcome.first_energy,
        accepted,
        reason,
    )


def rejection_reason(
    first: Structure, final: Structure, first_energy: float, energy: float
) -> str | None:
    """Why a relaxed structure is not trusted; None if it is.

    Args:
        first: The structure before.
        final: The structure after.
        first_energy: Total energy before, eV.
        energy: Total energy after, eV.
    """
    if final.composition != first.composition:
        return (
            f"the formula has changed from {first.composition.formula} to "
            f"{final.composition.formula}"
        )
    rise = (energy - first_energy) / len(first)
    if not rise <= _ENERGY_RESOLUTION:
        return f"the energy has risen by {rise:.3g} eV/atom"
    change = final.volume / first.volume - 1
    if not abs(change) < MAX_VOLUME_CHANGE:
        return f"the volume has changed by {100 * change:+.0f} %"
    radii = covalent_radii[[site.specie.Z for site in final]]
    one, other, distances = close_pairs(final, 2 * ACCEPT_FRACTION * float(radii.max()))
    shares = distances / (radii[one] + radii[other])
    if len(shares) and shares.min() <= ACCEPT_FRACTION:
        k = int(shares.argmin())
        pair = f"{final[int(one[k])].specie.symbol} and {final[int(other[k])].specie.symbol}"
        return (
            f"{pair} are {distances[k]:.2f} Å apart, {shares[k]:.2f} of the sum of their covalent "
            "radii"
        )
    return None
