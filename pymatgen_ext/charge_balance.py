"""Oxidation states that add up to zero, and what is said of drawn formulas where none do."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pymatgen.core import Structure

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.charge_balance import has_balance, is_ionic

#: Of these no compound is known that is a crystal at ordinary pressure.
_INERT = {2: "He", 10: "Ne", 18: "Ar"}
_NAMED = 4


@dataclass(frozen=True)
class ChargeBalance:
    """Rejects crystals whose charge balances by no oxidation states that pymatgen knows.

    Args:
        alloys: Whether crystals without an anion pass, whose charges need not balance.
    """

    alloys: bool = False

    def __call__(self, crystal: CrystalBatch) -> str | None:
        counts = Counter(crystal.species.tolist())
        passes = has_balance(counts) or (self.alloys and not is_ionic(counts))
        return None if passes else "not charge-balanced"


def balance_notes(structures: Iterable[Structure]) -> tuple[str, ...]:
    """What a report says of drawn formulas that a chemist would not look at: crystals with an anion
    in which no oxidation states balance, and compounds of helium, neon and argon.
    """
    ionic, unbalanced, inert = 0, Counter[str](), Counter[str]()
    for structure in structures:
        counts = Counter(int(site.specie.Z) for site in structure)
        inert.update(name for z, name in _INERT.items() if z in counts and len(counts) > 1)
        if is_ionic(counts):
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
