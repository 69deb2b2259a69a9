"""Textbook solids: their structures, and what is known of them."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pymatgen.core import Composition, Lattice, Structure

#: Space group, with the first origin where there are two choices, and places of each kind of
#: structure; of two elements the second has the second place.
_KINDS = {
    "fcc": ("Fm-3m", ((0.0,) * 3,)),
    "bcc": ("Im-3m", ((0.0,) * 3,)),
    "diamond": ("Fd-3m", ((0.0,) * 3,)),
    "rocksalt": ("Fm-3m", ((0.0,) * 3, (0.5,) * 3)),
    "zincblende": ("F-43m", ((0.0,) * 3, (0.25,) * 3)),
}


@dataclass(frozen=True)
class Solid:
    """A cubic crystal without free coordinates.

    Args:
        formula: Elements in the order of their places.
        kind: Of structure.
        lattice_constant: With the PBE functional, Å.
        bulk_modulus: With the PBE functional, GPa.
        measured_lattice_constant: Without the share of zero-point vibrations, Å.
        measured_bulk_modulus: GPa.
        sources: Of the values of PBE and of the measured ones.
    """

    formula: str
    kind: str
    lattice_constant: float
    bulk_modulus: float
    measured_lattice_constant: float
    measured_bulk_modulus: float
    sources: tuple[str, ...]

    def conventional(self, lattice_constant: float | None = None) -> Structure:
        """The cubic cell.

        Args:
            lattice_constant: Å; None takes that of PBE.
        """
        group, places = _KINDS[self.kind]
        cell = Lattice.cubic(lattice_constant or self.lattice_constant)
        return Structure.from_spacegroup(group, cell, self.elements, places)

    @property
    def elements(self) -> list[str]:
        """Symbols in the order of their places."""
        return [element.symbol for element in Composition(self.formula)]


@cache
def solids() -> tuple[Solid, ...]:
    """The table `resources/solids.json`."""
    table = json.loads((files("ase_crysdiff.resources") / "solids.json").read_text())
    return tuple(
        Solid(**{**entry, "sources": tuple(table["sources"][s] for s in entry["sources"])})
        for entry in table["solids"]
    )
