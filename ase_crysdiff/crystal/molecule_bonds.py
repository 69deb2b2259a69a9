"""Bonds of a molecule from its distances, and what they say: which atoms are stable.

The rules are those by which generated molecules are published. They are no chemistry: a pair is a
bond of the highest order whose length and margin exceed its distance, and an atom is stable if the
orders of its bonds add up to its valence. Charged groups are never stable by them.

Source: Hoogeboom et al. 2022 (EDM), lengths and margins of the published code.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.elements import atomic_number

#: Lengths of bonds by order, pm.
LENGTHS: tuple[dict[str, int], ...] = (
    {
        "H H": 74, "H C": 109, "H N": 101, "H O": 96, "H F": 92, "C C": 154, "C N": 147, "C O": 143,
        "C F": 135, "N N": 145, "N O": 140, "N F": 136, "O O": 148, "O F": 142, "F F": 142,
    },
    {"C C": 134, "C N": 129, "C O": 120, "N N": 125, "N O": 121, "O O": 121},
    {"C C": 120, "C N": 116, "C O": 113, "N N": 110},
)  # fmt: skip
#: By how much a bond of each order may be longer, pm.
MARGINS = (10, 5, 3)
#: Orders of the bonds of a stable atom, together, by atomic number.
VALENCES = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1}

Numbers = NDArray[Any]


def bond_orders(species: Numbers, positions: Numbers) -> NDArray[np.int64]:
    """Order of the bond of every pair of atoms, 0 for none, shape (atoms, atoms).

    Args:
        species: Atomic numbers, shape (atoms,). Elements beside H, C, N, O and F have no bonds.
        positions: Å, shape (atoms, 3).
    """
    distances = 100 * np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    limits = _limits()[:, species[:, None], species[None]]
    within = distances[None] < limits
    # A bond of an order needs those below it: a triple bond is a double one first.
    orders: NDArray[np.int64] = np.cumprod(within, axis=0).sum(0)
    return orders


def stable_atoms(species: Numbers, positions: Numbers) -> NDArray[np.bool_]:
    """Whether the bonds of each atom add up to its valence, shape (atoms,)."""
    found: NDArray[np.bool_] = bond_orders(species, positions).sum(1) == _valences()[species]
    return found


def can_be_joined(open_bonds: Sequence[int]) -> bool:
    """Whether atoms can be joined into one molecule in which no bond is left open.

    Args:
        open_bonds: How many bonds each atom still wants.

    Source: Senior 1951, Partitions and their representative graphs, Am. J. Math. 73, 663: which
    degrees a connected multigraph without loops may have.
    """
    if len(open_bonds) == 1:
        return open_bonds[0] == 0
    total, most = sum(open_bonds), max(open_bonds)
    joined = min(open_bonds) > 0 and total >= 2 * (len(open_bonds) - 1)
    return joined and total % 2 == 0 and 2 * most <= total


@lru_cache(maxsize=1)
def _limits() -> NDArray[np.float64]:
    """Longest bond of each order and pair of elements, pm; 0 where there is none."""
    limits = np.zeros((len(LENGTHS), NUM_SPECIES, NUM_SPECIES))
    for order, (lengths, margin) in enumerate(zip(LENGTHS, MARGINS, strict=True)):
        for pair, length in lengths.items():
            first, second = (atomic_number(symbol) for symbol in pair.split())
            limits[order, first, second] = limits[order, second, first] = length + margin
    return limits


@lru_cache(maxsize=1)
def _valences() -> NDArray[np.int64]:
    """Of each element; -1, which no sum is, for those without a rule."""
    valences = np.full(NUM_SPECIES, -1)
    valences[list(VALENCES)] = list(VALENCES.values())
    return valences
