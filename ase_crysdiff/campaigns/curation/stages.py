"""From candidates to the members of both stages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pymatgen.core import Structure

from ase_crysdiff.campaigns.curation.candidates import Candidate, in_benchmarks
from ase_crysdiff.campaigns.curation.energies import energies, relaxed
from ase_crysdiff.campaigns.curation.options import RELAXED_BELOW, STABLE, CurationOptions
from ase_crysdiff.data.perturbations import MAKERS, Perturbation
from ase_crysdiff.isolation import Workers, computes_here
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.uniqueness import classes
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.storage import Store

#: Copies of these kinds are the same crystal out of place, on purpose, and so no duplicates.
_OUT_OF_PLACE = frozenset(MAKERS) - {Perturbation.UNPERTURBED, Perturbation.SUBSTITUTED}


@dataclass(frozen=True)
class Stage:
    """The members of one stage.

    Args:
        structures: By position among the candidates.
        heights: Energies above the hull, eV/atom; NaN for what was relaxed, as predicted numbers
            are no labels.
        losses: Why other candidates for the stage are not in it.
    """

    structures: dict[int, Structure]
    heights: dict[int, float]
    losses: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Curation:
    """Candidates, and what they are judged by.

    Args:
        options: The rules.
        folder: Remembers what is known already.
        candidates: Crystals of the sources and their copies.
        benchmarks: What must not be learnt from, by file.
        potential: Gives energies and relaxes.
        hull: For candidates whose source knows no energy; None where there is none.
        workers: Processes that compare and relax, or an executor; 0 does so in this one.
    """

    options: CurationOptions
    folder: Store
    candidates: Sequence[Candidate]
    benchmarks: dict[str, Reference]
    potential: Potential
    hull: Hull | None
    workers: Workers

    def first(self) -> Stage:
        """Everything below the limit, stable or not, that no benchmark holds, each crystal once."""
        structures = [c.structure for c in self.candidates]
        losses = self._in_benchmarks("benchmarks", structures)
        heights, unknown = self._heights(structures, losses)
        losses |= unknown
        limit = self.options.max_height
        losses |= {
            i: f"{limit:g} eV/atom or more above the hull"
            for i, height in heights.items()
            if not height < limit
        }
        originals = [
            i
            for i, c in enumerate(self.candidates)
            if i not in losses and Perturbation.parse(c.perturbation) not in _OUT_OF_PLACE
        ]
        losses |= self._duplicates(originals, structures, heights)
        members = [i for i in range(len(structures)) if i not in losses]
        return Stage({i: structures[i] for i in members}, {i: heights[i] for i in members}, losses)

    def second(self, first: Stage) -> Stage:
        """What is stable, and what is stable enough to be relaxed, as its relaxation is accepted,
        each crystal once.
        """
        band = [i for i, height in first.heights.items() if STABLE < height <= RELAXED_BELOW]
        start = [c.structure for c in self.candidates]
        moved, losses = relaxed(
            self.folder,
            "relaxed",
            start,
            band,
            self.potential if computes_here(self.workers) else self.options.potential,
            self.options.fmax,
            self.options.relax_steps,
            workers=self.workers,
        )
        places = sorted(moved)
        taken = self._in_benchmarks("relaxed-benchmarks", [moved[i] for i in places])
        losses |= {places[k]: reason for k, reason in taken.items()}
        found = {i: s for i, s in first.structures.items() if first.heights[i] <= STABLE}
        found |= {i: moved[i] for i in places if i not in losses}
        # What was stable from the start stands for its class before anything that has come down to
        # it.
        heights = {i: math.nan if i in moved else first.heights[i] for i in sorted(found)}
        losses |= self._duplicates(list(heights), found, heights)
        members = [i for i in heights if i not in losses]
        return Stage({i: found[i] for i in members}, {i: heights[i] for i in members}, losses)

    def _in_benchmarks(self, name: str, structures: Sequence[Structure]) -> dict[int, str]:
        workers, timeout = self.workers, self.options.timeout
        return in_benchmarks(self.folder, name, structures, self.benchmarks, workers, timeout)

    def _heights(
        self, structures: Sequence[Structure], losses: dict[int, str]
    ) -> tuple[dict[int, float], dict[int, str]]:
        """What the sources say comes first; the rest is computed."""
        wanted = [i for i in range(len(structures)) if i not in losses]
        given = {i: self.candidates[i].energy_above_hull for i in wanted}
        known = {i: height for i, height in given.items() if not math.isnan(height)}
        missing = [i for i in wanted if i not in known]
        if self.hull is None:
            return known, dict.fromkeys(
                missing, "no energy above the hull in its source, and no --hull to compute it with"
            )
        computed, failed = energies(
            self.folder, "energies", structures, missing, self.potential, self.hull
        )
        return known | computed, failed

    def _duplicates(
        self,
        chosen: Sequence[int],
        structures: Sequence[Structure] | dict[int, Structure],
        heights: dict[int, float],
    ) -> dict[int, str]:
        """All of each class but the lowest."""
        same = classes(
            [structures[i] for i in chosen],
            workers=self.workers,
            timeout=self.options.timeout,
        )
        best = same.representatives([heights[i] for i in chosen])
        pairs = zip(chosen, same.labels, strict=True)
        return {
            i: "a duplicate"
            for k, (i, label) in enumerate(pairs)
            if label is not None and k not in best
        }
