"""Given cells in the primitive standard setting of a space group."""

from functools import cache
from itertools import product

import numpy as np

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.layouts import gram_average
from ase_crysdiff.symmetry.tables import Floats, Ints, space_group

#: How far scalar products of lattice vectors may be from what the group wants, over the square of
#: the longest vector.
_TOLERANCE = 1e-3


def primitive_setting(group: int, lattice: Floats) -> Ints:
    """The change of a cell to the setting in which the operations of a space group are tabulated.

    Args:
        group: Number of the space group.
        lattice: Rows of the primitive cell in Å, reduced.

    Returns:
        Whole numbers of determinant 1, shape (3, 3): the rows `change @ lattice` have the symmetry
        of the primitive standard cell. Of several settings, such as those with other axes of an
        orthorhombic cell, the one with the shortest vectors that is nearest to the given cell.

    Raises:
        InputError: If no cell of this lattice has that symmetry.
    """
    vectors = _vectors()
    products = vectors @ (lattice @ lattice.T) @ vectors.T
    lengths = products.diagonal()
    misfit = (gram_average(group) - np.eye(9)).T
    best: tuple[float, float] | None = None
    chosen = np.eye(3, dtype=np.int64)
    for first in range(len(vectors)):
        grams = np.empty((len(vectors), len(vectors), 3, 3))
        grams[..., 0, 0] = lengths[first]
        grams[..., 0, 1] = grams[..., 1, 0] = products[first][:, None]
        grams[..., 0, 2] = grams[..., 2, 0] = products[first][None]
        grams[..., 1, 1], grams[..., 2, 2] = lengths[:, None], lengths[None]
        grams[..., 1, 2] = grams[..., 2, 1] = products
        off = np.abs(grams.reshape(-1, 9) @ misfit).max(-1).reshape(products.shape)
        longest = np.maximum(np.maximum(lengths[:, None], lengths[None]), lengths[first])
        for second, third in np.argwhere(off < _TOLERANCE * longest):
            change = vectors[[first, second, third]]
            if round(float(np.linalg.det(change))) != 1:
                continue
            size = float(lengths[[first, second, third]].sum())
            rank = (round(size, 4), float(np.abs(change - np.eye(3)).sum()))
            if best is None or rank < best:
                best, chosen = rank, change
    if best is None:
        raise InputError(
            f"The lattice contradicts {space_group(group).symbol} ({group}): no choice of its "
            "vectors has the symmetry of that group's primitive cell within 0.1 %. A given lattice "
            "is that of the primitive cell, or of the conventional cell of a centred group."
        )
    return chosen


def fits_group(group: int, lattice: Floats) -> bool:
    """Whether a cell has the symmetry of the primitive standard cell of a space group.

    Args:
        group: Number of the space group.
        lattice: Rows in Å, in the setting of that cell.
    """
    gram = lattice @ lattice.T
    off = np.abs(gram.reshape(9) @ (gram_average(group) - np.eye(9)).T).max()
    return bool(off < _TOLERANCE * gram.diagonal().max())


@cache
def _vectors() -> Ints:
    """Short lattice vectors."""
    return np.array([v for v in product(range(-2, 3), repeat=3) if any(v)], np.int64)
