"""Textbook solids: their structures, and what is known of them."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ase.build import bulk
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import atoms_to_structure


@dataclass(frozen=True)
class Solid:
    """A cubic crystal without free coordinates.

    Args:
        formula: Reduced.
        kind: Of structure, in the words of `ase.build.bulk`.
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

    def structure(self, conventional: bool = False) -> Structure:
        """At the lattice constant of PBE.

        Args:
            conventional: The cubic cell instead of the primitive one.
        """
        atoms = bulk(self.formula, self.kind, a=self.lattice_constant, cubic=conventional)
        return atoms_to_structure(atoms)


@cache
def solids() -> tuple[Solid, ...]:
    """The table `resources/solids.json`."""
    table = json.loads((files("ase_crysdiff.resources") / "solids.json").read_text())
    return tuple(
        Solid(**{**entry, "sources": tuple(table["sources"][s] for s in entry["sources"])})
        for entry in table["solids"]
    )
