"""What a network may know of an element before it has seen a crystal: place in the periodic table,
size, electronegativity.

Sources: covalent radii of Cordero et al. 2008 (as `ase.data.covalent_radii`), Pauling
electronegativities (as `pymatgen.core.Element.X`); tests compare the tables with both.
"""

from functools import lru_cache

import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.elements import ELECTRONEGATIVITIES
from ase_crysdiff.shapes import Float, Tensor

# fmt: off
_RADII = (
    0.00, 0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07,
    1.05, 1.02, 1.06, 2.03, 1.76, 1.70, 1.60, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22,
    1.20, 1.19, 1.20, 1.20, 1.16, 2.20, 1.95, 1.90, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45,
    1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.40, 2.44, 2.15, 2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98,
    1.96, 1.94, 1.92, 1.92, 1.89, 1.90, 1.87, 1.87, 1.75, 1.70, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36,
    1.32, 1.45, 1.46, 1.48, 1.40, 1.50, 1.50, 2.60, 2.21, 2.15, 2.06, 2.00, 1.96, 1.90, 1.87, 1.80,
    1.69, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00,
    2.00, 2.00, 2.00, 2.00, 2.00, 2.00, 2.00,
)
# fmt: on
_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)


@lru_cache(maxsize=4)
def covalent_radii(dtype: torch.dtype = torch.float64) -> Float[Tensor, " elements"]:
    """Radius by atomic number in Å, 0 at place 0; elements nobody has measured have 0.2. One tensor
    for all: do not write to it.
    """
    return torch.tensor(_RADII, dtype=dtype, device="cpu")


def electronegativities(dtype: torch.dtype = torch.float64) -> Float[Tensor, " elements"]:
    """Pauling's electronegativity by atomic number, 0 where none is known."""
    return torch.tensor(ELECTRONEGATIVITIES, dtype=dtype)


def place(number: int) -> tuple[int, int]:
    """Period and group of an element; lanthanides and actinides have the groups 19 to 33 in the
    order of their f electrons.

    >>> place(8), place(26), place(57), place(72)
    ((2, 16), (4, 8), (6, 19), (6, 4))
    """
    period = next(n for n, noble in enumerate(_NOBLE) if number <= noble)
    along = number - _NOBLE[period - 1]
    size = _NOBLE[period] - _NOBLE[period - 1]
    if along <= 2 and number != 2:
        return period, along
    if size == 32:
        return (period, 16 + along) if along <= 17 else (period, along - 14)
    return period, along + 18 - size


def descriptors(rows: int = NUM_SPECIES) -> Float[Tensor, "elements features"]:
    """One row per atomic number, the first of zeros: period and group as unit vectors, radius,
    electronegativity, number.

    Elements of a column or row share entries, which a network can use from its first step on; no
    two rows are equal.
    """
    table = torch.zeros(rows, 7 + 33 + 3)
    radii, pull = covalent_radii(torch.float32), electronegativities(torch.float32)
    for number in range(1, rows):
        period, group = place(number)
        table[number, period - 1] = 1
        table[number, 7 + group - 1] = 1
        table[number, -3:] = torch.tensor([radii[number] / 1.5, pull[number] / 2, number / 50]) - 1
    return table
