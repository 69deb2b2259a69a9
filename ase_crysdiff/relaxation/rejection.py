"""Whether the end of a relaxation is believed."""

from ase.data import covalent_radii
from pymatgen.core import Structure

from ase_crysdiff.constants import ACCEPT_FRACTION
from ase_crysdiff.crystal.close_pairs import close_pairs
from ase_crysdiff.crystal.soundness import lonely
from ase_crysdiff.errors import InputError

#: Property of the draws of a sampler, whose cells are guesses.
DRAWN_BY = "crysdiff_sampler"
#: A relaxed cell may differ from the first one by this share of its volume.
MAX_VOLUME_CHANGE = 0.2
#: Energies per atom that differ by less are taken as equal, eV: single precision on a total energy.
_ENERGY_RESOLUTION = 1e-5


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
    # Species by species: pymatgen calls a composition of Fe and Fe3+ unlike itself.
    if sorted(map(str, final.species)) != sorted(map(str, first.species)):
        return (
            f"the formula has changed from {first.composition.formula} to "
            f"{final.composition.formula}"
        )
    rise = (energy - first_energy) / len(first)
    if not rise <= _ENERGY_RESOLUTION:
        return f"the energy has risen by {rise:.3g} eV/atom"
    change = final.volume / first.volume - 1
    if not (abs(change) < MAX_VOLUME_CHANGE or DRAWN_BY in first.properties):
        return f"the volume has changed by {100 * change:+.0f} %"
    try:
        return _misplaced(final)
    except InputError as error:  # a cell so skewed or flat that its neighbours cannot be listed
        return str(error)


def _misplaced(final: Structure) -> str | None:
    """That two atoms are too close, or one is too far from all others."""
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
    return lonely(final)
