"""How the elements of a crystal lie about each other, in numbers that change smoothly with it."""

from functools import cache
from itertools import product

import numpy as np

from ase_crysdiff.symmetry.tables import Floats, Ints

#: Neighbours of each element that are looked at.
NEIGHBOURS = 8
#: Atoms of cells for which images up to the second and up to the third cell are looked at.
_SMALL, _TINY = 24, 4


def fingerprint(lattice: Floats, frac_coords: Floats, slots: Ints, num_slots: int) -> Floats:
    """Mean distances to the nearest neighbours, element by element, whatever the elements are.

    Of crystals whose fingerprints differ by 0.05 to 0.07 (root mean square) nine in ten match by
    the tolerances of structure prediction, by 0.13 to 0.16 four in ten, beyond 0.25 hardly any.

    Args:
        lattice: Rows in Å, shape (3, 3).
        frac_coords: Shape (atoms, 3).
        slots: Which of the elements each atom is, 0 to num_slots - 1, shape (atoms,).
        num_slots: How many elements there are.

    Returns:
        Entry (i, j, n) is the distance from the atoms of slot i to their n-th nearest neighbour in
        slot j, in units of (volume per atom)^(1/3), mean over these atoms; shape (num_slots,
        num_slots, NEIGHBOURS).

    Source: Widdowson et al. 2022 (average minimum distances), here for each pair of elements.
    """
    short = _shortened(lattice)
    places = frac_coords @ lattice @ np.linalg.inv(short)
    shifts = places[:, None] - places[None]
    shifts -= np.rint(shifts)
    cells = 3 if len(places) <= _TINY else 2 if len(places) <= _SMALL else 1
    images = _images(cells) @ short
    away = np.linalg.norm((shifts @ short)[:, :, None] + images, axis=-1)
    scale = (abs(float(np.linalg.det(short))) / len(places)) ** (1 / 3)
    found = np.empty((num_slots, num_slots, NEIGHBOURS))
    for j in range(num_slots):
        near = away[:, slots == j].reshape(len(places), -1)
        near = np.sort(np.partition(near, NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1], axis=1)
        for i in range(num_slots):
            first = int(i == j)  # an atom is no neighbour of itself
            found[i, j] = near[slots == i, first : NEIGHBOURS + first].mean(0) / scale
    return found


def _shortened(lattice: Floats) -> Floats:
    """Vectors of the same lattice, none of which another one shortens."""
    rows = np.array(lattice, float)
    for _ in range(30):
        before = rows.copy()
        for i, j in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
            rows[i] -= np.rint(rows[i] @ rows[j] / (rows[j] @ rows[j])) * rows[j]
        if np.array_equal(rows, before):
            break
    return rows


@cache
def _images(cells: int) -> Floats:
    return np.array(list(product(range(-cells, cells + 1), repeat=3)), float)
