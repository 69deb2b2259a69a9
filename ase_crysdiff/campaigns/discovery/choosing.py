"""What of all finds is shown: each crystal once, new ones, with wished properties, true minima."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ase_crysdiff.campaigns.discovery.finds import Find, Heights, again
from ase_crysdiff.campaigns.discovery.wish import Window
from ase_crysdiff.campaigns.work import work
from ase_crysdiff.diffraction.fitting import fit_pattern
from ase_crysdiff.diffraction.pattern import Pattern
from ase_crysdiff.diffraction.ranking import rank_by_pattern
from ase_crysdiff.diffraction.wavelengths import other_wavelength
from ase_crysdiff.isolation import Workers
from ase_crysdiff.metrics.formation import energies_above_hull
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.reference import Known
from ase_crysdiff.metrics.uniqueness import classes
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.predictors.loading import load_predictor
from ase_crysdiff.predictors.structures import predict_structures
from ase_crysdiff.relaxation.ranking import surprise
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.settings import RELEASE, SYMPREC
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.relaxation.vibrations import lowest_modes
from ase_crysdiff.storage import Store

#: Seconds of processor time for one crystal.
_LIMIT = 1800.0
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
        potential: By name or as it was given.
        loaded: The same, loaded.
        hull: Known compounds.
        reference: Known crystals; None asks for no novelty.
        max_above_hull: eV/atom.
        new_only: Whether known crystals are no candidates.
        windows: Of predicted properties, by name of the predictor.
        properties: Names of predictors that are asked about candidates, beside those of the
            windows.
        judge: A second potential; None asks none.
        dynamics: Whether vibrations are checked.
        pattern: A powder pattern by which the finds are ranked, in place of their height; None
            ranks by that.
        seed: Of the run.
        workers: Processes.
        store: Keeps what is done.
    """

    potential: PotentialLike
    loaded: Potential
    hull: Hull
    reference: Known | None
    max_above_hull: float
    new_only: bool
    windows: Mapping[str, Window]
    properties: Sequence[str]
    judge: "PotentialLike | None"
    dynamics: bool
    pattern: Pattern | None
    seed: int
    workers: Workers
    store: Store
    _predictors: dict[str, Any] = field(default_factory=dict, compare=False)

    def choose(self, finds: Sequence[Find], wanted: int) -> Choice:
        """The candidates, at most as many as are wanted.

        Args:
            finds: All within the limit.
            wanted: How many.
        """
        distinct = self._presumed(self._distinct(finds))
        known = sorted((f for f in distinct if f.known), key=lambda f: f.place)
        new = [f for f in distinct if not (f.known and self.new_only)]
        fitting = self._within(new)
        if self.pattern is not None:
            return self._by_pattern(fitting, known, wanted, self.pattern)
        waiting = sorted(fitting, key=lambda f: f.place)
        chosen: list[Find] = []
        looked_at = 0
        while waiting and len(chosen) < wanted:
            size = wanted - len(chosen) + _SPARE
            some, waiting = waiting[:size], waiting[size:]
            looked_at += len(some)
            chosen = self._distinct([*chosen, *self._within(self._examined(some))])
            chosen = [f for f in chosen if not (f.known and self.new_only)]
        chosen = self._checked(sorted(chosen, key=lambda f: f.place)[: wanted + _SPARE])
        candidates = self._predicted(sorted(chosen, key=lambda f: f.place)[:wanted])
        counts = [("distinct", len(distinct)), ("new" if self.new_only else "all", len(new))]
        if self.windows:
            counts.append(("within the windows", len(fitting)))
        counts += [("looked at closely", looked_at), ("candidates", len(candidates))]
        return Choice(tuple(candidates), tuple(known), tuple(counts))

    def _by_pattern(
        self, finds: Sequence[Find], known: Sequence[Find], wanted: int, pattern: Pattern
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
        notes = [ranking.verdict]
        if not ranking.fits_pattern:
            line = other_wavelength([f.structure for f in ranked], pattern)
            if line is not None:
                notes.append(f"With the wavelength of {line} a candidate would fit: check that.")
        return Choice(tuple(candidates), tuple(known), counts, tuple(notes))

    def _distinct(self, finds: Sequence[Find]) -> list[Find]:
        """The lowest of the finds that are the same crystal; known if one of them is."""
        found = classes([f.structure for f in finds], workers=self.workers)
        members: dict[int, list[int]] = {}
        for i, label in enumerate(found.labels):
            members.setdefault(-1 - i if label is None else label, []).append(i)
        lowest = []
        for several in members.values():
            best = min(several, key=lambda i: (finds[i].result.energy_per_atom, finds[i].key))
            known = any(bool(finds[i].known) for i in several) if self.reference else None
            lowest.append((best, replace(finds[best], known=known)))
        return [find for _, find in sorted(lowest, key=lambda pair: pair[0])]

    def _presumed(self, finds: Sequence[Find]) -> list[Find]:
        """With those that are presumably known: of a formula that the hull lists, and of which no
        find is a known crystal, the lowest. The known crystals are a partial list.
        """
        if self.reference is None:
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

    def _within(self, finds: Sequence[Find]) -> list[Find]:
        """The finds whose predicted properties lie in the windows."""
        left = list(finds)
        for name, (low, high) in self.windows.items():
            left = [
                find
                for find in self._with(left, name)
                if low <= (find.properties or {})[name][0] <= high
            ]
        return left

    def _predicted(self, finds: Sequence[Find]) -> list[Find]:
        """With the properties that are shown."""
        left = list(finds)
        for name in self.properties:
            if name not in self.windows:
                left = self._with(left, name)
        return left

    def _with(self, finds: Sequence[Find], name: str) -> list[Find]:
        """The finds with a property more; NaN where there is no value."""
        if not finds:
            return []
        if name not in self._predictors:
            self._predictors[name] = load_predictor(name)
        predictor = self._predictors[name]
        said = predict_structures(predictor, [f.structure for f in finds], False)
        rows = zip(finds, said.values.tolist(), said.uncertainty.tolist(), strict=True)
        return [
            replace(f, properties={**(f.properties or {}), name: (value, spread, predictor.unit)})
            for f, value, spread in rows
        ]

    def _examined(self, finds: Sequence[Find]) -> list[Find]:
        """Those that stay within the limit when they are released from their symmetry, and by the
        second potential.
        """
        tasks = [[(f.key, (self.potential, self.seed, f.structure))] for f in finds]
        done, failed = self._work("released", _released, tasks)
        released, heights = [], Heights(self.loaded, self.hull)
        for find in finds:
            if find.key in failed:
                remark = f"not released from its symmetry: {failed[find.key]}"
                released.append(replace(find, remarks=(*find.remarks, remark)))
                continue
            result = RelaxResult.from_dict(done[find.key])
            released.append(again(find, result, heights))
        if self.reference is not None:
            released = [
                f if f.known is not None else replace(f, known=self.reference.contains(f.structure))
                for f in released
            ]
        if self.judge is not None:
            released = self._judged(released, as_potential(self.judge))
        return [
            f
            for f in released
            if f.unjudged is None and max(f.height, f.judged_height) <= self.max_above_hull
        ]

    def _judged(self, finds: Sequence[Find], judge: Potential) -> list[Find]:
        """With the heights that a second potential gives."""
        said = energies_above_hull([f.structure for f in finds], judge, self.hull)
        found = []
        for i, find in enumerate(finds):
            height = float(said.energy_above_hull[i])
            if math.isnan(height):
                remark = f"{judge.name} has no energy: {said.failures.get(i, 'not finite')}"
                found.append(replace(find, remarks=(*find.remarks, remark)))
            else:
                found.append(replace(find, judge_height=height))
        return found

    def _checked(self, finds: Sequence[Find]) -> list[Find]:
        """With what their vibrations say."""
        if not self.dynamics:
            return list(finds)
        tasks = [[(f.key, (self.potential, f.structure))] for f in finds]
        done, failed = self._work("vibrations", _vibrations, tasks)
        found = []
        for find in finds:
            if find.key in failed:
                found.append(replace(find, dynamics=f"not checked: {failed[find.key]}"))
            else:
                stable, text = done[find.key]
                found.append(replace(find, dynamics=text, dynamically_stable=stable))
        return found

    def _work(
        self, name: str, function: Any, tasks: Sequence[Sequence[tuple[str, Any]]]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        return work(self.store, name, function, tasks, workers=self.workers, timeout=_LIMIT)


def _released(task: tuple[PotentialLike, int, Any]) -> dict[str, Any]:
    """A crystal relaxed without its symmetry, if it falls then; to be called in another process."""
    potential, seed, structure = task
    (result,) = relax(
        [structure],
        potential,
        symmetric=True,
        symprec=SYMPREC,
        release=RELEASE,
        seed=seed,
        progress=False,
    )
    return result.as_dict()


def _vibrations(task: tuple[PotentialLike, Any]) -> tuple[bool | None, str]:
    """Whether a crystal vibrates soundly, and in words; to be called in another process."""
    potential, structure = task
    (found,) = lowest_modes(structure, potential, progress=False)
    if found.stable is None:
        return None, f"not checked: {found.remark}"
    return found.stable, found.remark or f"stable, lowest {found.lowest:.2f} THz"
