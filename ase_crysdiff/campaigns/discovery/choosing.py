"""What of all finds is shown: each crystal once, new ones, with wished properties, true minima."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ase_crysdiff.campaigns.discovery.examining import Examiner
from ase_crysdiff.campaigns.discovery.finds import Find
from ase_crysdiff.campaigns.discovery.properties import Properties
from ase_crysdiff.campaigns.discovery.wish import Window
from ase_crysdiff.diffraction.fitting import fit_pattern
from ase_crysdiff.diffraction.pattern import Pattern
from ase_crysdiff.diffraction.ranking import rank_by_pattern
from ase_crysdiff.diffraction.wavelengths import other_wavelength
from ase_crysdiff.metrics.uniqueness import classes
from ase_crysdiff.relaxation.ranking import surprise

#: Candidates that are looked at closely together, beyond those that are asked for.
_SPARE = 4
#: What is said of a crystal that nothing shows to be known but its formula.
_PRESUMED = "presumably known: the hull lists its formula, and it is the lowest crystal found of it"


@dataclass(frozen=True)
class Choice:
    """What came of the finds.

    Args:
        candidates: The best first.
        rediscovered: Known crystals among the finds, the lowest first.
        counts: How many finds were left after each step, with the name of the step.
        notes: What must be said.
    """

    candidates: tuple[Find, ...]
    rediscovered: tuple[Find, ...]
    counts: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chooser:
    """How finds become candidates.

    Args:
        examiner: Who looks closely at the best.
        new_only: Whether known crystals are no candidates.
        windows: Of predicted properties, by name of the predictor.
        shown: Names of predictors that are asked about candidates, beside those of the windows.
        dynamics: Whether vibrations are checked.
        pattern: A powder pattern by which the finds are ranked, in place of their height; None
            ranks by that.
    """

    examiner: Examiner
    new_only: bool
    windows: Mapping[str, Window]
    shown: Sequence[str]
    dynamics: bool
    pattern: Pattern | None

    @property
    def _properties(self) -> Properties:
        return Properties(self.examiner.workers, self.examiner.store)

    def choose(self, finds: Sequence[Find], wanted: int) -> Choice:
        """The candidates, at most as many as are wanted.

        Args:
            finds: All within the limit.
            wanted: How many.
        """
        distinct = self._presumed(self._distinct(finds))
        known = sorted((f for f in distinct if f.known), key=lambda f: f.place)
        new = [f for f in distinct if not (f.known and self.new_only)]
        fitting, notes = self._properties.within(new, self.windows, "relaxed")
        if self.pattern is not None:
            return self._by_pattern(fitting, known, wanted, self.pattern, notes)
        waiting = sorted(fitting, key=lambda f: f.place)
        chosen: list[Find] = []
        looked_at = 0
        while waiting and len(chosen) < wanted:
            size = wanted - len(chosen) + _SPARE
            some, waiting = waiting[:size], waiting[size:]
            looked_at += len(some)
            left, _ = self._properties.within(
                self.examiner.released(some), self.windows, "released"
            )
            chosen = self._distinct([*chosen, *left])
            chosen = [f for f in chosen if not (f.known and self.new_only)]
        chosen = sorted(chosen, key=lambda f: f.place)[: wanted + _SPARE]
        chosen = self.examiner.checked(chosen) if self.dynamics else chosen
        candidates = self._predicted(sorted(chosen, key=lambda f: f.place)[:wanted])
        counts = [("distinct", len(distinct)), ("new" if self.new_only else "all", len(new))]
        if self.windows:
            counts.append(("within the windows", len(fitting)))
        counts += [("looked at closely", looked_at), ("candidates", len(candidates))]
        return Choice(tuple(candidates), tuple(known), tuple(counts), tuple(notes))

    def _by_pattern(
        self,
        finds: Sequence[Find],
        known: Sequence[Find],
        wanted: int,
        pattern: Pattern,
        notes: Sequence[str],
    ) -> Choice:
        """Those that fit a pattern best. They stay as they relaxed with their symmetry: what was
        measured need not be the lowest crystal.
        """
        fits = fit_pattern([f.structure for f in finds], pattern)
        ranking = rank_by_pattern(
            fits,
            [f.result.energy_per_atom for f in finds],
            [surprise(f.structure) for f in finds],
        )
        ranked = [
            replace(finds[fit.index], fit=fit, misfit=score)
            for fit, score in zip(ranking.fits, ranking.scores, strict=True)
        ]
        candidates = self._predicted(ranked[:wanted])
        counts = (("distinct", len(finds)), ("candidates", len(candidates)))
        notes = [*notes, ranking.verdict]
        if not ranking.fits_pattern:
            line = other_wavelength([f.structure for f in ranked], pattern)
            if line is not None:
                notes.append(f"With the wavelength of {line} a candidate would fit: check that.")
        return Choice(tuple(candidates), tuple(known), counts, tuple(notes))

    def _distinct(self, finds: Sequence[Find]) -> list[Find]:
        """The lowest of the finds that are the same crystal; known if one of them is."""
        found = classes([f.structure for f in finds], workers=self.examiner.workers)
        members: dict[int, list[int]] = {}
        for i, label in enumerate(found.labels):
            members.setdefault(-1 - i if label is None else label, []).append(i)
        lowest = []
        for several in members.values():
            best = min(several, key=lambda i: (finds[i].result.energy_per_atom, finds[i].key))
            known = any(bool(finds[i].known) for i in several) if self.examiner.reference else None
            lowest.append((best, replace(finds[best], known=known)))
        return [find for _, find in sorted(lowest, key=lambda pair: pair[0])]

    def _presumed(self, finds: Sequence[Find]) -> list[Find]:
        """With those that are presumably known: of a formula that the hull lists, and of which no
        find is a known crystal, the lowest. The known crystals are a partial list.
        """
        if self.examiner.reference is None:
            return list(finds)
        met = {f.formula for f in finds if f.known}
        lowest: dict[str, Find] = {}
        for find in finds:
            if find.listed and find.formula not in met:
                best = lowest.get(find.formula)
                if best is None or find.height < best.height:
                    lowest[find.formula] = find
        keys = {find.key for find in lowest.values()}
        return [
            replace(f, known=True, remarks=(*f.remarks, _PRESUMED)) if f.key in keys else f
            for f in finds
        ]

    def _predicted(self, finds: Sequence[Find]) -> list[Find]:
        """With the properties that are shown."""
        left = list(finds)
        for name in self.shown:
            if name not in self.windows:
                left = self._properties.of(left, name, "candidates")
        return left
