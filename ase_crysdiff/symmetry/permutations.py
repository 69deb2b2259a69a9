"""Which atom a symmetry operation takes each atom to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crysdiff.errors import InputError

#: How far an atom may lie from where an operation takes another one, Å.
TOLERANCE = 1e-3
#: Pairs of atoms that are looked at together while images are found.
_CHUNK = 1_000_000


def permutations_of(
    rotations: ArrayLike,
    translations: ArrayLike,
    frac_coords: ArrayLike,
    species: Sequence[int] | NDArray[np.int64],
    lattice: ArrayLike,
    tolerance: float = TOLERANCE,
) -> NDArray[np.int64]:
    """The atom that each operation takes each atom to: the nearest one of the same species.

    Args:
        rotations: R, shape (operations, 3, 3).
        translations: t, fractional, shape (operations, 3).
        frac_coords: Shape (atoms, 3).
        species: Anything that tells atoms apart as numbers, such as atomic numbers.
        lattice: Rows, Å.
        tolerance: Å.

    Returns:
        Shape (operations, atoms).

    Raises:
        InputError: If an atom has no image within the tolerance, or shares it with another one.
    """
    turn, shift = np.asarray(rotations, np.float64), np.asarray(translations, np.float64)
    frac, rows = np.asarray(frac_coords, np.float64), np.asarray(lattice, np.float64)
    kinds = np.asarray(species)
    differ = kinds[:, None] != kinds
    found = np.zeros((len(turn), len(frac)), dtype=np.int64)
    step = max(1, _CHUNK // max(len(frac) ** 2, 1))
    for start in range(0, len(turn), step):
        part = slice(start, start + step)
        images = np.einsum("gij,aj->gai", turn[part], frac) + shift[part, None]
        away = images[:, :, None] - frac
        away -= np.round(away)
        distances = np.where(differ, np.inf, np.linalg.norm(away @ rows, axis=-1))
        found[part] = distances.argmin(-1)
        least = distances.min(-1)
        if not (least < tolerance).all():
            g, a = np.unravel_index(int(np.argmax(least)), least.shape)
            raise InputError(
                f"Operation {start + g} takes atom {a} to a place that is {least[g, a]:.2g} Å from "
                f"any atom of its species; at most {tolerance:g} Å are allowed. Refine the crystal "
                "first."
            )
    if not (np.sort(found, 1) == np.arange(len(frac))).all():
        raise InputError(
            f"An operation takes two atoms to one within {tolerance:g} Å; lower the tolerance."
        )
    return found
