"""What sampling returns: structures with their origin, and a report of what happened."""

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import pandas as pd
from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.data.table import to_dataframe
from ase_crysdiff.data.writing import write


@dataclass(frozen=True)
class Report:
    """What was asked for and what became of it.

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

    def __str__(self) -> str:
        text = (
            f"{self.made} of {self.asked} crystals by {self.sampler} (seed {self.seed}) in "
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
        return "; ".join([text, *self.notes])


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
            return SampleSet(self.structures[position], self.report)
        return self.structures[position]

    def __repr__(self) -> str:
        return f"SampleSet({self.report})"

    def to_atoms(self) -> list[Atoms]:
        """ASE atoms, with the origin in `info`."""
        return [structure_to_atoms(s) for s in self.structures]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per structure: formula, atoms, space group, density, shortest distance,
        origin.
        """
        return to_dataframe(self.structures)

    def write(self, path: str | Path) -> Path:
        """Writes the set: a folder of CIF files, or one `.extxyz`, `.json`, `.csv` or ASE `.db`
        file, by the ending.

        Raises:
            InputError: If the ending is not known or the place cannot be written.
        """
        return write(self.structures, vars(self.report), Path(path))

    def _repr_html_(self) -> str:
        frame: Any = self.to_dataframe()
        return f"<p>{html.escape(str(self.report))}</p>" + frame.to_html(index=False)
