"""All that the stages of an evaluation have found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.entries import Entry
from ase_crysdiff.campaigns.evaluation.relaxed import Relaxed
from ase_crysdiff.metrics.base import MetricResult
from ase_crysdiff.metrics.energies import Energies
from ase_crysdiff.metrics.reference import Known
from ase_crysdiff.relaxation.results import RelaxResult


@dataclass(frozen=True)
class Scored:
    """All that the stages have found.

    Args:
        entries: One for each requested crystal.
        relaxations: By index; empty if nothing was relaxed.
        relaxed: The verdict on them; None if nothing was relaxed.
        energies: Of the relaxed structures; None without a potential or a hull.
        results: Of `score`.
        reference: Known crystals; None if there were none to compare with.
    """

    entries: Sequence[Entry]
    relaxations: Mapping[int, RelaxResult]
    relaxed: Relaxed | None
    energies: Energies | None
    results: Mapping[str, MetricResult]
    reference: Known | None

    @property
    def final(self) -> Sequence[Structure | None]:
        """The structures that the verdict is about: relaxed ones if there are any."""
        return (
            [e.structure for e in self.entries] if self.relaxed is None else self.relaxed.structures
        )

    def verdict(self, name: str) -> Sequence[Any]:
        """Per-structure values of a metric, of the relaxed structures where it has both; None where
        there are none.
        """
        result = self.results.get(f"{name}_relaxed", self.results.get(name))
        return [None] * len(self.entries) if result is None else result.per_structure

    @property
    def heights(self) -> Sequence[float | None]:
        """Energies above the hull that are to be believed, eV/atom."""
        return self.verdict("energy_above_hull")

    def lost(self, index: int) -> tuple[str, str] | None:
        """At which stage and why a crystal was lost; None if it was not."""
        entry = self.entries[index]
        if entry.stage is not None:
            return entry.stage, str(entry.reason)
        if self.relaxed is not None and index in self.relaxed.rejected:
            reason = self.relaxed.rejected[index]
            return (
                "gate after relaxing" if reason.startswith("after relaxation") else "relax"
            ), reason
        if self.energies is not None and index in self.energies.failures:
            return "energy", self.energies.failures[index]
        return None
