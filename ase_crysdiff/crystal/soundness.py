"""Is a structure physical? One judge, asked before third-party code or a potential sees it, and
after a relaxation.
"""

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii
from pymatgen.core import Structure

from ase_crysdiff.constants import (
    FLAG_FRACTION,
    GATE_DISTANCE,
    GATE_VOLUME,
    VOLUME_PER_ATOM,
)
from ase_crysdiff.crystal.close_pairs import close_pairs


def gate(structure: Structure | None) -> str | None:
    """Why a structure must not reach matchers, symmetry finders or potentials; None if it may.

    A coordinate that is not a number ends spglib with a segmentation fault, and a cell of 0.01 Å
    thickness fills the memory of a matcher.
    """
    reason = unusable_species(structure)
    if structure is None or reason is not None:
        return reason
    matrix = np.asarray(structure.lattice.matrix)
    if not (np.isfinite(matrix).all() and np.isfinite(structure.frac_coords).all()):
        return "not finite"
    volume = abs(float(np.linalg.det(matrix)))
    if volume < GATE_VOLUME:
        return f"volume below {GATE_VOLUME} Å³"
    spacings = 1 / np.linalg.norm(np.linalg.inv(matrix), axis=0)
    if max(structure.lattice.abc) / spacings.min() > 50:
        structure = structure.get_reduced_structure()
        spacings = 1 / np.linalg.norm(np.linalg.inv(structure.lattice.matrix), axis=0)
    if spacings.min() < GATE_DISTANCE:
        return f"cell thinner than {GATE_DISTANCE} Å"
    if min(structure.lattice.abc) < GATE_DISTANCE or _closest(structure, GATE_DISTANCE):
        return f"two atoms closer than {GATE_DISTANCE} Å"
    return None


def gate_all(structures: Sequence[Structure | None]) -> dict[int, str]:
    """Reason by position, for the structures that fail the gate."""
    return {i: reason for i, s in enumerate(structures) if (reason := gate(s)) is not None}


def unphysical(structure: Structure) -> str | None:
    """Why a relaxed structure cannot be believed, whatever its energy; None if it can.

    Potentials that were never taught otherwise give collapsed atoms energies near or below those of
    the crystal.

    Args:
        structure: One that passes the gate.
    """
    volume = structure.volume / len(structure)
    if not VOLUME_PER_ATOM[0] <= volume <= VOLUME_PER_ATOM[1]:
        return f"{volume:.3g} Å³ per atom, outside {VOLUME_PER_ATOM[0]:g}-{VOLUME_PER_ATOM[1]:g}"
    if not keeps_distances(structure, FLAG_FRACTION):
        return f"two atoms closer than {FLAG_FRACTION} of the sum of their covalent radii"
    return None


def unusable_species(structure: Structure | None) -> str | None:
    """Why a structure has no definite composition of elements; None if it has."""
    if structure is None:
        return "no structure"
    if len(structure) == 0:
        return "no atoms"
    if not structure.is_ordered:
        return "disordered"
    # Dummy species have a Z, too, but it is no atomic number.
    if not all(0 < site.specie.Z < len(covalent_radii) for site in structure):
        return "a species that is no element"
    return None


def _closest(structure: Structure, limit: float) -> bool:
    """Whether two atoms, or an atom and its image, lie closer than `limit`."""
    _, _, distances = close_pairs(structure, limit)
    return bool((distances < limit - 1e-9).any())


def keeps_distances(structure: Structure | None, fraction: float) -> bool:
    """Whether every distance exceeds a fraction of the sum of the covalent radii (Cordero et al.
    2008).
    """
    assert structure is not None
    radii = covalent_radii[[site.specie.Z for site in structure]]
    centres, points, distances = close_pairs(structure, 2 * fraction * float(radii.max()))
    return bool((distances > fraction * (radii[centres] + radii[points])).all())
