"""What a CIF file says of its contents, and whether a structure agrees."""

import re
from collections import defaultdict
from dataclasses import dataclass

from pymatgen.core import Composition, Element, Structure

from ase_crysdiff.crystal.cif.text import Block, Value

#: Shares by which amounts may differ from a formula: rounded numbers of an ordered crystal, and
#: refined occupancies where the formula gives nominal ones.
_ORDERED, _DISORDERED = 0.005, 0.1
FORMULA = "_chemical_formula_sum"
_PART = re.compile(r"([A-Za-z]{1,2})(\d*\.?\d*)")


@dataclass(frozen=True)
class Statement:
    """What a file says of its contents.

    Args:
        text: The formula as it is written.
        amounts: By atomic number; deuterium and tritium are hydrogen.
        units: Formula units per cell, if the file gives them.
    """

    text: str
    amounts: dict[int, float]
    units: float | None = None

    @staticmethod
    def of(block: Block) -> "Statement | None":
        """The statement of a block; None if there is none that can be compared."""
        text = block.value(FORMULA)
        amounts = _amounts(text)
        if text is None or not amounts:
            return None
        return Statement(" ".join(text.split()), amounts, _units(block))

    def contradiction(self, structure: Structure) -> str | None:
        """Why a structure is not what the file says; None if it is."""
        found: dict[int, float] = defaultdict(float)
        for site in structure:
            for species, occupancy in site.species.items():
                found[species.Z] += occupancy
        allowed = _ORDERED if structure.is_ordered else _DISORDERED
        holds = f"the sites hold {_written(found)}, the formula is {self.text!r}"
        missing, more = set(self.amounts) - set(found), set(found) - set(self.amounts)
        if missing or more:
            parts = [f"{_symbols(missing)} missing"] * bool(missing)
            parts += [f"{_symbols(more)} too many"] * bool(more)
            return f"{holds}: {' and '.join(parts)}"
        total, stated = sum(found.values()), sum(self.amounts.values())
        if any(
            abs(found[z] / total - n / stated) > allowed * n / stated
            for z, n in self.amounts.items()
        ):
            return holds
        return self._wrong_number(total, allowed)

    def _wrong_number(self, total: float, allowed: float) -> str | None:
        """Z counts units of the formula that is given, or of the reduced one where a program gives
        the whole contents of the cell as the formula. Of 13 atoms F pymatgen says 6 units of F2.
        """
        if self.units is None:
            return None
        stated = sum(self.amounts.values())
        reduced = Composition({Element.from_Z(z): n for z, n in self.amounts.items()})
        smallest = reduced.reduced_composition.num_atoms
        possible = (self.units * stated, self.units * smallest)
        if any(abs(total / n - 1) <= allowed for n in possible):
            return None
        if len(self.amounts) == 1 and total == stated and self.units == total // 2:
            return None
        return (
            f"the sites are {total:g} atoms, and {self.units:g} formula units (Z) of {self.text!r} "
            f"are {possible[0]:g}"
        )


def _amounts(text: Value) -> dict[int, float]:
    """Amounts by atomic number; empty for what is no formula of whole or decimal amounts."""
    amounts: dict[int, float] = defaultdict(float)
    parts = (text or "").replace(",", " ").split()
    if len(parts) == 1:  # without spaces
        try:
            parts = [f"{s}{n}" for s, n in Composition(parts[0]).get_el_amt_dict().items()]
        except Exception:  # whatever pymatgen raises: this is no formula
            return {}
    for part in parts:
        match = _PART.fullmatch(part)
        if match is None or not Element.is_valid_symbol(match[1].capitalize()):
            return {}
        amounts[Element(match[1].capitalize()).Z] += float(match[2] or 1)
    return {z: n for z, n in amounts.items() if n > 0}


def _units(block: Block) -> float | None:
    text = block.value("_cell_formula_units_z")
    try:
        units = float(text or "")
    except ValueError:
        return None
    return units if units > 0 else None


def _written(amounts: dict[int, float]) -> str:
    return repr(" ".join(f"{Element.from_Z(z).symbol}{n:g}" for z, n in sorted(amounts.items())))


def _symbols(numbers: set[int]) -> str:
    return ", ".join(Element.from_Z(z).symbol for z in sorted(numbers))
