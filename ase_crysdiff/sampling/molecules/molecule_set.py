"""What sampling of molecules returns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np
import pandas as pd
from ase import Atoms
from monty.json import jsanitize
from pymatgen.core import Molecule

from ase_crysdiff.crystal.molecule_bonds import stable_atoms
from ase_crysdiff.crystal.molecules import to_frame
from ase_crysdiff.crystal.smiles import has_rdkit, smiles
from ase_crysdiff.data.writing_molecules import write_molecules
from ase_crysdiff.pictures.molecules import molecule_table
from ase_crysdiff.sampling.sample_set import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class MoleculeReport(Report):
    """What was asked for and what became of it, of molecules."""

    things: ClassVar[str] = "molecules"


class MoleculeSet(Sequence[Molecule]):
    """Generated molecules, in the order of their index.

    Every molecule knows its origin by `molecule.properties`, as the structures of a `SampleSet` do.

    Args:
        molecules: The molecules.
        report: What happened.
    """

    def __init__(self, molecules: Sequence[Molecule], report: MoleculeReport) -> None:
        self.molecules = list(molecules)
        self.report = report

    def __len__(self) -> int:
        return len(self.molecules)

    def __iter__(self) -> Iterator[Molecule]:
        return iter(self.molecules)

    @overload
    def __getitem__(self, position: int) -> Molecule: ...
    @overload
    def __getitem__(self, position: slice) -> "MoleculeSet": ...
    def __getitem__(self, position: int | slice) -> "Molecule | MoleculeSet":
        if isinstance(position, slice):
            chosen = self.molecules[position]
            return MoleculeSet(chosen, self.report.part(len(chosen)))
        return self.molecules[position]

    def __add__(self, other: "MoleculeSet") -> "MoleculeSet":
        """The molecules of both, and a report of both."""
        if not isinstance(other, MoleculeSet):
            return NotImplemented
        return MoleculeSet([*self.molecules, *other.molecules], self.report + other.report)

    def __repr__(self) -> str:
        return f"MoleculeSet({self.report})"

    @property
    def stable(self) -> "MoleculeSet":
        """Those whose atoms all have as many bonds as they want, by the published rule."""
        kept = [m for m, fine in zip(self.molecules, self._table["stable"], strict=True) if fine]
        return MoleculeSet(kept, self.report.part(len(kept)))

    def to_atoms(self) -> list[Atoms]:
        """ASE atoms without a cell, with the origin in `info`."""
        return [to_frame(m) for m in self.molecules]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per molecule: formula, atoms, how many of these are stable and whether all are by
        the published rule of bonds, SMILES where RDKit is installed, origin.
        """
        origin = pd.DataFrame([dict(m.properties or {}) for m in self.molecules])
        return pd.concat([self._table, origin], axis=1)

    def write(self, path: str | Path) -> Path:
        """Writes the set: a folder of XYZ files, or one `.xyz`, `.extxyz`, `.sdf`, `.json` or
        `.csv` file, by the ending. `monty.serialization.loadfn` makes the set again of `.json`.

        Raises:
            InputError: If the ending is not known or the place cannot be written.
        """
        return write_molecules(self.molecules, self.to_dataframe(), self.as_dict(), Path(path))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the set again."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            "report": jsanitize(vars(self.report)),
            "molecules": [m.as_dict() for m in self.molecules],
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "MoleculeSet":
        """The set that `as_dict` described."""
        given, report = d["molecules"], d["report"]
        molecules = [m if isinstance(m, Molecule) else Molecule.from_dict(m) for m in given]
        known = isinstance(report, MoleculeReport)
        return cls(molecules, report if known else MoleculeReport.from_dict(report))

    def plot(self, *, columns: int = 6, limit: int = 24) -> "Figure":
        """Drawings of the molecules side by side, each with its formula.

        Args:
            columns: Drawings in a row.
            limit: Molecules that are drawn at most; the figure says how many are left out.

        Raises:
            InputError: If the set is empty, or `columns` or `limit` is below one.
        """
        from ase_crysdiff.pictures.molecules import molecule_grid  # and with it matplotlib

        return molecule_grid(self.molecules, columns=columns, limit=limit)

    @cached_property
    def _table(self) -> pd.DataFrame:
        rows = [described(m) for m in self.molecules]
        return pd.DataFrame(rows, columns=list(rows[0]) if rows else ["formula", "atoms", "stable"])

    def _repr_html_(self) -> str:
        return molecule_table(self.molecules, self._table, str(self.report))


def described(molecule: Molecule) -> dict[str, Any]:
    """Formula, number of atoms, how many of them are stable, whether all are, and where RDKit is
    installed SMILES, None where it refuses the molecule.
    """
    species = np.array([site.specie.Z for site in molecule])
    fine = stable_atoms(species, molecule.cart_coords)
    told = {
        "formula": molecule.composition.hill_formula.replace(" ", ""),
        "atoms": len(species),
        "stable_atoms": int(fine.sum()),
        "stable": bool(fine.all()),
    }
    return told | ({"smiles": smiles(species, molecule.cart_coords)} if has_rdkit() else {})
