"""What a discovery looks for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pymatgen.core import Element

from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.checks import unknown_elements
from ase_crysdiff.sampling.request import PrototypeWish
from ase_crysdiff.sampling.tasks.csp import Amounts
from ase_crysdiff.symmetry.tables import space_group

#: Elements of the largest system: of more no phase diagram is known, and hardly a crystal.
MOST_ELEMENTS = 8
#: Lowest and highest value that a property may have.
Window: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Wish:
    """A formula, a chemical system or elements, and what else is asked of the crystals.

    Args:
        composition: Atomic numbers and counts of one formula unit.
        chemical_system: Exactly these elements, each present.
        elements: Only these may occur.
        space_group: Number of the space group of what is drawn.
        prototype: Occupied sites of what is drawn.
        windows: Lowest and highest value of predicted properties, by name of the predictor, in its
            unit.

    Raises:
        InputError: If nothing is wished, two of the first three are, there are too many elements,
            or a window holds no value.
    """

    composition: Amounts | None = None
    chemical_system: frozenset[int] | None = None
    elements: frozenset[int] | None = None
    space_group: int | None = None
    prototype: PrototypeWish = None
    windows: Mapping[str, Window] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = [self.composition, self.chemical_system, self.elements]
        if sum(g is not None for g in given) > 1:
            raise InputError(
                "A wish is one of a formula, a chemical system and elements. Give one of them."
            )
        if all(g is None for g in given) and self.space_group is None and not self.prototype:
            raise InputError(
                "Nothing is wished. Give a formula such as 'CaTiO3', a chemical system such as "
                "'Li-Fe-P-O', elements, a prototype or a space group."
            )
        if len(self.species or ()) > MOST_ELEMENTS:
            raise InputError(
                f"{len(self.species or ())} elements are more than the {MOST_ELEMENTS} that a "
                "chemical system may have here: of larger ones nobody knows the phase diagram. "
                "Leave some out."
            )
        for name, (low, high) in self.windows.items():
            if math.isnan(low) or math.isnan(high) or not low < high:
                raise InputError(
                    f"The window of {name} goes from {low:g} to {high:g}, which holds no value. "
                    "Give the lower end first."
                )

    @property
    def species(self) -> frozenset[int] | None:
        """The elements that may occur; None if all may."""
        if self.composition is not None:
            return frozenset(z for z, _ in self.composition)
        return self.elements if self.chemical_system is None else self.chemical_system

    @property
    def symbols(self) -> frozenset[str] | None:
        """The elements that may occur, by symbol; None if all may."""
        return None if self.species is None else frozenset(SYMBOLS[z] for z in self.species)

    @property
    def formula(self) -> str | None:
        """The formula unit as text, if one is wished."""
        return None if self.composition is None else formula_text(self.composition)

    def __str__(self) -> str:
        parts = [self.formula or _listed(self.species) or ""]
        if self.elements is not None:
            parts = [f"crystals of {', '.join(_ordered(self.elements))}"]
        parts = [part for part in parts if part] or ["crystals"]
        if self.space_group is not None:
            parts.append(f"in {space_group(self.space_group).symbol}")
        if self.prototype:
            parts.append(f"of the prototype {self.prototype}")
        for name, (low, high) in self.windows.items():
            parts.append(f"with {name} {_window_text(low, high)}")
        return " ".join(parts)

    def check(self, potential: Potential) -> None:
        """Refuses to look for crystals whose energies nobody could tell.

        Args:
            potential: What is to relax and rank them.

        Raises:
            IncompatibleError: If it does not know an element that all of them have.
        """
        everywhere = (self.species or ()) if self.elements is None else ()
        if strange := unknown_elements(everywhere, potential.elements, potential.name):
            raise IncompatibleError(f"{strange} Give another potential, such as 'chgnet'.")

    def as_dict(self) -> dict[str, Any]:
        """Plain values of what is wished, for the record of a run."""
        found: dict[str, Any] = {
            "composition": self.formula,
            "chemical_system": _listed(self.chemical_system),
            "elements": _listed(self.elements),
            "space_group": self.space_group,
            "prototype": str(self.prototype) if self.prototype else None,
            "windows": {name: list(window) for name, window in self.windows.items()} or None,
        }
        return {name: value for name, value in found.items() if value is not None}


def formula_text(contents: Amounts) -> str:
    """A formula such as SrTiO3, the elements in the order that they are given in."""
    return "".join(f"{SYMBOLS[z]}{count if count > 1 else ''}" for z, count in contents)


def _ordered(species: frozenset[int]) -> list[str]:
    """Symbols in the order in which chemists write them, the electropositive first."""
    return sorted((SYMBOLS[z] for z in species), key=lambda symbol: (Element(symbol).X, symbol))


def _listed(species: frozenset[int] | None) -> str | None:
    return None if species is None else "-".join(_ordered(species))


def _window_text(low: float, high: float) -> str:
    if math.isinf(low):
        return f"up to {high:g}"
    return f"from {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
