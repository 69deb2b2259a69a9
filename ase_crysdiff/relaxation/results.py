"""What is said of a relaxed structure, and whether it is believed."""

import math
from dataclasses import dataclass

from ase.data import covalent_radii
from pymatgen.core import Lattice, Structure

from ase_crysdiff.constants import ACCEPT_FRACTION
from ase_crysdiff.crystal.close_pairs import close_pairs
from ase_crysdiff.relaxation.engine import Outcome

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
        space_group: Symbol of the group that was found at the start and kept; None if none was
            asked for or none was found.
        unsymmetric: Why there is no symmetry that could be kept, although one was asked for.
        symmetric_energy: Total energy at rest with the symmetry, eV; None if it was not released.
        released_energy: Total energy at rest after the release, eV; None likewise.
        kept_symmetry: Whether `structure` has the space group after the release: no for what has
            fallen from a saddle. None if it was not released.
    """

    structure: Structure | None
    converged: bool
    steps: int
    energy: float
    fmax: float
    first_energy: float
    accepted: bool
    reason: str | None = None
    space_group: str | None = None
    unsymmetric: str | None = None
    symmetric_energy: float | None = None
    released_energy: float | None = None
    kept_symmetry: bool | None = None

    @property
    def energy_per_atom(self) -> float:
        """eV/atom."""
        return self.energy / len(self.structure) if self.structure else math.nan


def result_of(first: Structure, outcome: Outcome, fmax: float) -> RelaxResult:
    """The outcome as a structure that keeps all else of the first one, with a verdict.

    Args:
        first: The structure as it was given.
        outcome: What became of it.
        fmax: Limit of its forces, eV/Å.
    """
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
