"""Oxidation states that add up to zero, and what is said of drawn formulas where none do."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pymatgen.core import Element, Structure

from ase_crysdiff.crystal.batch import CrystalBatch

#: Of these no compound is known that is a crystal at ordinary pressure.
_INERT = {2: "He", 10: "Ne", 18: "Ar"}
#: N, O, F, S, Cl, Se, Br, I: what holds one of them beside another element is taken as ionic.
_ANIONS = frozenset({7, 8, 9, 16, 17, 34, 35, 53})
_NAMED = 4


@dataclass(frozen=True)
class ChargeBalance:
    """Rejects crystals whose charge balances by no oxidation states that pymatgen knows."""

    def __call__(self, crystal: CrystalBatch) -> str | None:
        found = has_balance(Counter(crystal.species.tolist()))
        return None if found else "not charge-balanced"


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


@lru_cache(maxsize=4096)
def _charges(species: int, count: int) -> frozenset[int]:
    """What the charges of so many atoms of an element may add up to."""
    element = Element.from_Z(species)
    states = element.icsd_oxidation_states or element.common_oxidation_states
    sums = {0}
    for _ in range(count):
        sums = {total + state for total in sums for state in states}
    return frozenset(sums)


def balance_notes(structures: Iterable[Structure]) -> tuple[str, ...]:
    """What a report says of drawn formulas that a chemist would not look at: crystals with an anion
    in which no oxidation states balance, and compounds of helium, neon and argon.
    """
    ionic, unbalanced, inert = 0, Counter[str](), Counter[str]()
    for structure in structures:
        counts = Counter(int(site.specie.Z) for site in structure)
        inert.update(name for z, name in _INERT.items() if z in counts and len(counts) > 1)
        if len(counts) > 1 and _ANIONS & counts.keys():
            ionic += 1
            if not has_balance(counts):
                unbalanced[structure.composition.reduced_formula] += 1
    notes = [f"{name} in {n} crystals: it forms no compounds" for name, n in inert.items()]
    if unbalanced:
        named = ", ".join(formula for formula, _ in unbalanced.most_common(_NAMED))
        rest = len(unbalanced) - _NAMED
        notes.append(
            f"{unbalanced.total()} of {ionic} crystals with an anion balance by no known oxidation "
            f"states ({named}{f' and {rest} more' if rest > 0 else ''}); charge_balance=True "
            "draws those again"
        )
    return tuple(notes)
