"""Cells and free numbers of symmetric crystals as 16-bit whole numbers.

A length is off by at most 0.0005 Å, an angle by 0.0014°, a free coordinate by 0.000008 of its cell:
atoms by less than 0.001 Å in cells of ordinary size.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ase_crysdiff.geometry.lattice import from_parameters, to_parameters
from ase_crysdiff.symmetry.tables import Floats, Ints, family_of, space_group

#: Parts of 1 Å, of 1°, and of the cell in which numbers are kept.
_PER_ANGSTROM, _PER_DEGREE, _PER_CELL = 1000, 360, 65536
#: Of the six parameters a b c alpha beta gamma those that are free, by crystal family.
_FREE: dict[str, tuple[int, ...]] = {
    "triclinic": (0, 1, 2, 3, 4, 5),
    "monoclinic": (0, 1, 2, 4),
    "orthorhombic": (0, 1, 2),
    "tetragonal": (0, 2),
    "hexagonal": (0, 2),
    "cubic": (0,),
}


def free_parameters(group: int) -> tuple[int, ...]:
    """Which of a b c alpha beta gamma are free in the conventional cells of a space group."""
    return _FREE[family_of(group)]


def quantised_cell(group: int, conventional: Floats) -> list[int] | None:
    """The free parameters of a conventional cell; None if an edge exceeds 65 Å.

    Args:
        group: Number of the space group.
        conventional: Rows in Å, shape (3, 3).
    """
    lengths, angles = to_parameters(torch.from_numpy(conventional)[None])
    scaled = [*(lengths[0] * _PER_ANGSTROM).tolist(), *(angles[0] * _PER_DEGREE).tolist()]
    found = [round(scaled[i]) for i in free_parameters(group)]
    return found if max(found) < 2**16 else None


def primitive_cell(group: int, quantised: Sequence[int]) -> Floats:
    """Rows of the primitive standard cell in Å, shape (3, 3)."""
    lengths, angles = np.zeros(3), np.full(3, 90.0)
    family = family_of(group)
    if family == "hexagonal":
        angles[2] = 120.0
    for i, value in zip(free_parameters(group), quantised, strict=True):
        if i < 3:
            lengths[i] = value / _PER_ANGSTROM
        else:
            angles[i - 3] = value / _PER_DEGREE
    if family in ("tetragonal", "hexagonal", "cubic"):
        lengths[1] = lengths[0]
    if family == "cubic":
        lengths[2] = lengths[0]
    rows = from_parameters(torch.from_numpy(lengths)[None], torch.from_numpy(angles)[None])[0]
    found: Floats = space_group(group).primitive @ rows.numpy()
    return found


def quantised_numbers(free_numbers: Floats) -> Ints:
    """Free coordinates, modulo 1."""
    return np.rint(free_numbers * _PER_CELL).astype(np.int64) % _PER_CELL


def free_numbers_of(quantised: Ints) -> Floats:
    """Free coordinates, 0 to 1."""
    return quantised / _PER_CELL
