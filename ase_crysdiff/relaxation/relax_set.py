"""What `relax` returns: a result for every structure, and what is asked of all of them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import pandas as pd
from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff.data.table import to_dataframe
from ase_crysdiff.data.writing import frame, write
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.pictures.notebook import crystal_table
from ase_crysdiff.relaxation.entries import entries
from ase_crysdiff.relaxation.judging import judged
from ase_crysdiff.relaxation.relaxed_table import outside_remark, relaxed_table
from ase_crysdiff.relaxation.results import RelaxResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    from ase_crysdiff.potentials.loading import PotentialLike


class RelaxSet(Sequence[RelaxResult]):
    """Results in the order of the structures that were given, or of their energy if they were
    ranked.

    Args:
        results: One for each structure.
        potential: Name of the potential.
        is_corrected: Whether its energies are on the Materials Project's corrected scale.
    """

    def __init__(
        self, results: Iterable[RelaxResult], potential: str, is_corrected: bool = False
    ) -> None:
        self.results, self.potential = list(results), potential
        self.is_corrected = is_corrected

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[RelaxResult]:
        return iter(self.results)

    @overload
    def __getitem__(self, position: int) -> RelaxResult: ...
    @overload
    def __getitem__(self, position: slice) -> "RelaxSet": ...
    def __getitem__(self, position: int | slice) -> "RelaxResult | RelaxSet":
        if isinstance(position, slice):
            return self._with(self.results[position])
        return self.results[position]

    def __add__(self, other: "RelaxSet") -> "RelaxSet":
        """The results of both.

        Raises:
            IncompatibleError: If they were relaxed with different potentials, whose energies do not
                compare.
        """
        if not isinstance(other, RelaxSet):
            return NotImplemented
        if other.potential != self.potential:
            raise IncompatibleError(
                f"Energies of {self.potential} and {other.potential} do not compare. Keep the sets "
                "apart, or relax all structures with one potential."
            )
        return self._with([*self.results, *other.results])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RelaxSet):
            return self.results == other.results and self.potential == other.potential
        return isinstance(other, list) and self.results == other

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __str__(self) -> str:
        computed = [r for r in self.results if not math.isnan(r.energy)]
        outside = sum(r.doubt is not None for r in computed)
        return (
            f"{len(computed)} of {len(self)} structures relaxed with {self.potential}: "
            f"{sum(r.converged for r in computed)} converged, "
            f"{sum(r.accepted for r in computed)} accepted, {len(self) - len(computed)} failed"
            f"{outside_remark(outside, self.potential)}{_judges(self.results)}"
        )

    def __repr__(self) -> str:
        return f"RelaxSet({self})"

    @property
    def structures(self) -> list[Structure]:
        """The structures that have an energy, with the numbers of their results among their
        properties: `crysdiff_energy`, `crysdiff_fmax`, `crysdiff_accepted`, `crysdiff_remark`, ...
        """
        found = []
        for position, result in enumerate(self.results):
            if result.structure is not None and not math.isnan(result.energy):
                index = result.structure.properties.get("crysdiff_index", position)
                found.append(result.labelled(int(index)))
        return found

    @property
    def failed(self) -> dict[int, str]:
        """Why structures have no energy, by position."""
        return {i: str(r.reason) for i, r in enumerate(self.results) if math.isnan(r.energy)}

    def rank(self, potential: "PotentialLike | None" = None) -> "RelaxSet":
        """The results by energy per atom, the lowest first; those outside of what the potential
        knows stand after those inside, those that are not accepted after both, and those without
        an energy last. Energies of different formulas do not compare: for those ask
        `energy_above_hull`.

        Args:
            potential: A second one, by name, or any ASE calculator, whose energies of the crystals
                where they lie order them in place of those of the first: potentials err between
                structures of one formula by as much as these differ, and seldom in the same way.
                They become `judge_energy` of the results. None takes the energies that are known.

        Raises:
            UnknownNameError: If there is no potential of that name.
        """
        results = self.results if potential is None else judged(self.results, potential)

        def key(result: RelaxResult) -> tuple[bool, bool, bool, float]:
            lost, energy, doubt = math.isnan(result.energy), result.energy_per_atom, result.doubt
            if potential is not None:
                energy, doubt = result.judge_energy_per_atom, result.judge_remark
            place = math.inf if math.isnan(energy) else energy
            return lost, not result.accepted, doubt is not None, place

        return self._with(sorted(results, key=key))

    def to_atoms(self) -> list[Atoms]:
        """ASE atoms with energy, forces and stress, of the structures that have an energy."""
        return [frame(structure) for structure in self.structures]

    def to_entries(
        self, *, accepted_only: bool = True, own_scale: bool = False
    ) -> "list[ComputedStructureEntry]":
        """Pymatgen's entries of the structures that have an energy, as `PhaseDiagram` takes them.

        `energy` is what the potential says. It has the corrections of the Materials Project in it,
        so `correction` is what its scheme of 2020 gives for the crystal, and `uncorrected_energy`
        is the rest: entries go beside corrected ones of the Materials Project as they are, and
        `MaterialsProject2020Compatibility` leaves them as they are instead of correcting twice.

        Args:
            accepted_only: Whether to leave out what is not accepted: one crystal that came apart
                would pull a whole phase diagram down.
            own_scale: Whether to take energies on another scale as they are, with no correction and
                no `run_type`: they compare with each other only, and pymatgen's schemes drop them.

        Raises:
            IncompatibleError: If the energies are on another scale than the Materials Project's
                corrected one, unless `own_scale`.
        """
        return entries(self, accepted_only, own_scale)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each structure that has an energy: what `SampleSet.to_dataframe` tells, then
        energy, forces, steps and verdict.
        """
        return to_dataframe(self.structures)

    def table(self) -> str:
        """A plain text table, a row for each structure that has an energy."""
        return relaxed_table(self.structures)

    def write(self, path: str | Path, *, symprec: float | None = None) -> Path:
        """Writes the structures that have an energy: a folder of CIF files, or one `.cif`,
        `.extxyz`, `.json`, `.csv` or ASE `.db` file, by the ending. Extended XYZ and databases hold
        energies, forces and stresses as ASE has them.

        Args:
            path: Where to.
            symprec: Tolerance in Å of the symmetry that CIF files are written with, in the
                conventional cell; None writes all sites of the cell as it is.

        Raises:
            InputError: If the ending is not known or the place cannot be written.
        """
        content = self.as_dict() if Path(path).suffix == ".json" else {}
        return write(self.structures, content, Path(path), symprec=symprec)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the set again."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            "potential": self.potential,
            "is_corrected": self.is_corrected,
            "results": [result.as_dict() for result in self.results],
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "RelaxSet":
        """The set that `as_dict` described."""
        given = d["results"]
        results = (r if isinstance(r, RelaxResult) else RelaxResult.from_dict(r) for r in given)
        return cls(results, str(d["potential"]), bool(d.get("is_corrected", False)))

    def _with(self, results: Iterable[RelaxResult]) -> "RelaxSet":
        """Other results of the same potential."""
        return RelaxSet(results, self.potential, self.is_corrected)

    def plot(self, *, columns: int = 6, limit: int = 24) -> "Figure":
        """Drawings of the structures that have an energy side by side, each with formula, space
        group and energy.

        Args:
            columns: Drawings in a row.
            limit: Crystals that are drawn at most; the figure says how many are left out.

        Raises:
            InputError: If no structure has an energy, or `columns` or `limit` is below one.
        """
        from ase_crysdiff.pictures.grid import crystal_grid  # and with it matplotlib

        return crystal_grid(self.structures, columns=columns, limit=limit)

    def _repr_html_(self) -> str:
        return crystal_table(self.structures, str(self))


def _judges(results: Iterable[RelaxResult]) -> str:
    """Whose energies stand beside those of the potential, to end a sentence."""
    names = sorted({r.judge for r in results if r.judge})
    return f"; judged by {' and '.join(names)}" if names else ""
