"""How unlike two elements are, as crystals tell: how seldom one takes the other's place."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.symmetry.tables import Floats, Ints

#: Added to counted and to expected exchanges, so that rare ones say little.
_SMOOTHING = 0.3
#: Logarithm of the odds of an exchange at which the distance would be 0, the least distance of two
#: elements, and how much of both makes 1.
_FREE, _LEAST, _UNIT = 6.0, 0.2, 10.0
#: Share of the elements' distance on Mendeleev's scale that is added: it speaks of pairs, too,
#: that no crystal exchanges.
_MENDELEEV = 0.5


def element_distance(slots: Iterable[tuple[Ints, Ints]]) -> Floats:
    """Distances of all elements by atomic number, learnt from crystals.

    Wherever crystals of one arrangement differ in one slot only, their elements there count as
    exchanged for each other, each pair with the weight 1/(k - 1) for k alternatives. With C such
    exchanges, and E of them expected if elements took part in exchanges independently, the distance
    is max(6 - ln((C + 0.3)/(E + 0.3)), 0.2)/10, plus half the distance on Mendeleev's scale (of
    length 1).

    Args:
        slots: For each count pattern the arrangement of its crystals, shape (crystals,), and the
            atomic numbers in their slots, shape (crystals, slots).

    Returns:
        Symmetric, 0 on the diagonal, shape (elements + 1, elements + 1).

    Source: Hautier et al. 2011 for exchanges as data; Pettifor 1984 for Mendeleev's scale.
    """
    counted = np.zeros((len(SYMBOLS), len(SYMBOLS)))
    for index, species in slots:
        for slot in range(species.shape[1]):
            for found in _alternatives(index, species, slot):
                counted[np.ix_(found, found)] += 1 / (len(found) - 1)
    np.fill_diagonal(counted, 0)
    shares = counted.sum(1)
    expected = np.outer(shares, shares) / max(shares.sum(), 1.0)
    odds = np.log((counted + _SMOOTHING) / (expected + _SMOOTHING))
    distance = np.maximum(_FREE - odds, _LEAST) / _UNIT
    scale = _mendeleev()
    distance += _MENDELEEV * np.abs(scale[:, None] - scale[None])
    np.fill_diagonal(distance, 0)
    return distance


def _alternatives(index: Ints, species: Ints, slot: int) -> list[list[int]]:
    """Elements that occur in a slot while arrangement and other slots are the same."""
    found: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
    rest = np.delete(species, slot, axis=1)
    for arrangement, others, element in zip(
        index.tolist(), rest.tolist(), species[:, slot].tolist(), strict=True
    ):
        found[arrangement, *others].add(element)
    return [sorted(elements) for elements in found.values() if len(elements) > 1]


def _mendeleev() -> Floats:
    """Place of each element on Mendeleev's scale, 0 to 1; the middle where it is not known."""
    from pymatgen.core import Element

    numbers = [Element(symbol).data.get("Mendeleev no") for symbol in SYMBOLS[1:]]
    known = [float(n) if isinstance(n, int | float) else np.nan for n in numbers]
    scale = np.array([np.nan, *known])
    return np.nan_to_num(scale / np.nanmax(scale), nan=0.5)
