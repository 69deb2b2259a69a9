"""Oxidation states that add up to zero."""

from collections.abc import Mapping
from functools import lru_cache

from pymatgen.core import Element

#: N, O, F, S, Cl, Se, Br, I: what holds one of them beside another element is taken as ionic.
ANIONS = frozenset({7, 8, 9, 16, 17, 34, 35, 53})


def has_balance(counts: Mapping[int, int]) -> bool:
    """Whether oxidation states can be given to atoms so that they add up to zero; atoms of one
    element may differ.

    The verdict of pymatgen's `Composition.oxi_state_guesses`, whose lists of states it takes (those
    of the ICSD, else the common ones), without listing all the ways.

    Args:
        counts: Number of atoms by atomic number.
    """
    if len(counts) == 1:  # an element needs no charge
        return True
    totals = {0}
    for species, count in counts.items():
        totals = {total + charge for total in totals for charge in _charges(species, count)}
    return 0 in totals


def is_ionic(counts: Mapping[int, int]) -> bool:
    """Whether a compound holds an anion beside another element, so that its charge must balance.

    Args:
        counts: Number of atoms by atomic number.
    """
    return len(counts) > 1 and bool(ANIONS & counts.keys())


@lru_cache(maxsize=4096)
def _charges(species: int, count: int) -> frozenset[int]:
    """What the charges of so many atoms of an element may add up to."""
    element = Element.from_Z(species)
    states = element.icsd_oxidation_states or element.common_oxidation_states
    sums = {0}
    for _ in range(count):
        sums = {total + state for total in sums for state in states}
    return frozenset(sums)
