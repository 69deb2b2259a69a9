"""What sampling returns: structures with their origin, and a report of what happened."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import pandas as pd
from ase import Atoms
from monty.json import jsanitize
from pymatgen.core import Structure

from ase_crysdiff.data.table import to_dataframe
from ase_crysdiff.data.writing import frame, write
from ase_crysdiff.pictures.notebook import crystal_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


#: A report, or one of other things.
R = TypeVar("R", bound="Report")


@dataclass(frozen=True, repr=False)
class Report:
    """What was asked for and what became of it.

    `things` are what is drawn, in words.

    Args:
        sampler: Name of the sampler.
        weights: First digits of the weights' digest.
        seed: Seed of the run, given or drawn.
        asked: Crystals asked for.
        made: Crystals returned.
        redrawn: Draws that were rejected and repeated.
        rejections: How often each reason led to a rejection.
        failed: Reason by index, for crystals that no attempt could give.
        evaluations: Network evaluations per draw; None if the sampler does not say.
        seconds: Wall time.
        guidance: What energy guidance has cost: evaluations of the potential (one crystal each),
            seconds in it, and by reason how often a crystal took a step without.
        selection: How the set was symmetrised, ranked and freed of duplicates: the fields of
            `pymatgen_ext.selection.Selection`; empty if it was not.
        notes: What else there is to know.
    """

    sampler: str
    weights: str
    seed: int
    asked: int
    made: int
    redrawn: int
    rejections: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    evaluations: int | None = None
    seconds: float = 0.0
    guidance: Mapping[str, float] = field(default_factory=dict)
    selection: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    things: ClassVar[str] = "crystals"

    @classmethod
    def from_dict(cls: type[R], d: Mapping[str, Any]) -> R:
        """The report that `vars` described, as JSON gives it back: numbers of crystals are words
        there, and tuples are lists.
        """
        values = {name: value for name, value in d.items() if not name.startswith("@")}
        values["failed"] = {int(i): reason for i, reason in values.get("failed", {}).items()}
        return cls(**{**values, "notes": tuple(values.get("notes", ()))})

    def part(self: R, count: int) -> R:
        """Of so many of the crystals."""
        if count == self.made:
            return self
        return replace(self, made=count, notes=(*self.notes, f"a part of the {self.made} made"))

    def __add__(self: R, other: R) -> R:
        """Of the crystals of both; failures of the second are counted on from the first."""
        shifted = {self.asked + i: reason for i, reason in other.failed.items()}
        seeds = () if self.seed == other.seed else (f"seeds {self.seed} and {other.seed}",)
        selection = self.selection if self.selection == other.selection else {}
        return replace(
            self,
            sampler=_both(self.sampler, other.sampler),
            weights=_both(self.weights, other.weights),
            asked=self.asked + other.asked,
            made=self.made + other.made,
            redrawn=self.redrawn + other.redrawn,
            seconds=self.seconds + other.seconds,
            rejections=dict(Counter(self.rejections) + Counter(other.rejections)),
            guidance=_summed(self.guidance, other.guidance),
            failed={**self.failed, **shifted},
            evaluations=self.evaluations if self.evaluations == other.evaluations else None,
            selection=selection,
            notes=(*dict.fromkeys((*self.notes, *other.notes)), *seeds),
        )

    def __repr__(self) -> str:
        return f"Report({self})"

    def __str__(self) -> str:
        text = (
            f"{self.made} of {self.asked} {self.things} by {self.sampler} (seed {self.seed}) in "
            f"{self.seconds:.1f} s"
        )
        if self.rejections:
            reasons = ", ".join(f"{n} × {reason}" for reason, n in self.rejections.items())
            text += f"; {sum(self.rejections.values())} draws rejected ({reasons})"
        if self.failed:
            text += (
                f"; {len(self.failed)} indices failed for good: "
                f"{dict(Counter(self.failed.values()))}"
            )
        if self.guidance:
            text += "; guidance: " + ", ".join(
                f"{round(n, 1):g} {what}" for what, n in self.guidance.items()
            )
        if self.selection.get("relaxed"):
            left = len(self.selection["unrelaxed"])
            text += f"; relaxed ({self.selection['relaxed']}), {left} left as drawn"
        if self.selection.get("potential"):
            text += (
                f"; ranked by {self.selection['potential']}, {len(self.selection['unranked'])} "
                "without an energy"
            )
        if self.selection.get("duplicates"):
            text += f"; {len(self.selection['duplicates'])} duplicates dropped"
        if self.selection.get("symprec"):
            left = len(self.selection["unsymmetrised"])
            text += (
                f"; symmetrised within {self.selection['symprec']:g} Å, {left} left as they were"
            )
        return "; ".join(part.removesuffix(".") for part in (text, *self.notes))


def _summed(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}


def _both(one: str, other: str) -> str:
    return one if one == other else f"{one} and {other}"


class SampleSet(Sequence[Structure]):
    """Generated structures, in the order of their index, or of their energy if they were ranked.

    Every structure knows its origin by `structure.properties`: `crysdiff_sampler`,
    `crysdiff_version`, `crysdiff_weights`, `crysdiff_seed` and `crysdiff_index`.

    Args:
        structures: The structures.
        report: What happened.
    """

    def __init__(self, structures: Sequence[Structure], report: Report) -> None:
        self.structures = list(structures)
        self.report = report

    def __len__(self) -> int:
        return len(self.structures)

    def __iter__(self) -> Iterator[Structure]:
        return iter(self.structures)

    @overload
    def __getitem__(self, position: int) -> Structure: ...
    @overload
    def __getitem__(self, position: slice) -> "SampleSet": ...
    def __getitem__(self, position: int | slice) -> "Structure | SampleSet":
        if isinstance(position, slice):
            chosen = self.structures[position]
            return SampleSet(chosen, self.report.part(len(chosen)))
        return self.structures[position]

    def __add__(self, other: "SampleSet") -> "SampleSet":
        """The structures of both, and a report of both."""
        if not isinstance(other, SampleSet):
            return NotImplemented
        return SampleSet([*self.structures, *other.structures], self.report + other.report)

    def __repr__(self) -> str:
        return f"SampleSet({self.report})"

    def to_atoms(self) -> list[Atoms]:
        """ASE atoms, with the origin in `info`, and an energy where the set was ranked by one."""
        return [frame(s) for s in self.structures]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per structure: formula, atoms, space group, density, shortest distance,
        origin.
        """
        return to_dataframe(self.structures)

    def write(self, path: str | Path, *, symprec: float | None = None) -> Path:
        """Writes the set: a folder of CIF files, or one `.cif`, `.extxyz`, `.json`, `.csv` or ASE
        `.db` file, by the ending. `monty.serialization.loadfn` makes the set again of `.json`.

        Args:
            path: Where to.
            symprec: Tolerance in Å of the symmetry that CIF files are written with, in the
                conventional cell; None writes all sites of the cell as it is.

        Raises:
            InputError: If the ending is not known or the place cannot be written.
        """
        return write(self.structures, self._described(), Path(path), symprec=symprec)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the set again."""
        return {**self._described(), "structures": [s.as_dict() for s in self.structures]}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "SampleSet":
        """The set that `as_dict` described."""
        given, report = d["structures"], d["report"]
        structures = [s if isinstance(s, Structure) else Structure.from_dict(s) for s in given]
        return cls(structures, report if isinstance(report, Report) else Report.from_dict(report))

    def _described(self) -> dict[str, Any]:
        kind = {"@module": type(self).__module__, "@class": type(self).__name__}
        return {**kind, "report": jsanitize(vars(self.report))}

    def plot(self, *, columns: int = 6, limit: int = 24) -> "Figure":
        """Drawings of the crystals side by side, each with formula, space group, and energy where
        the set was ranked by one.

        Args:
            columns: Drawings in a row.
            limit: Crystals that are drawn at most; the figure says how many are left out.

        Raises:
            InputError: If the set is empty, or `columns` or `limit` is below one.
        """
        from ase_crysdiff.pictures.grid import crystal_grid  # and with it matplotlib

        return crystal_grid(self.structures, columns=columns, limit=limit)

    def _repr_html_(self) -> str:
        return crystal_table(self.structures, str(self.report))
