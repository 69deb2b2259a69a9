"""A close look at the best finds: released from their symmetry, judged again, made to vibrate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ase_crysdiff.campaigns.discovery.finds import Find, Heights, again
from ase_crysdiff.campaigns.work import work
from ase_crysdiff.isolation import Workers
from ase_crysdiff.metrics.formation import energies_above_hull
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.reference import Known
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.settings import RELEASE, SYMPREC
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.relaxation.vibrations import lowest_modes
from ase_crysdiff.storage import Store

#: Seconds of processor time for one crystal.
_LIMIT = 1800.0


@dataclass(frozen=True)
class Examiner:
    """Who looks closely.

    Args:
        potential: By name or as it was given.
        loaded: The same, loaded.
        hull: Known compounds.
        reference: Known crystals; None asks for no novelty.
        max_above_hull: Where candidates end, eV/atom.
        judge: A second potential; None asks none.
        seed: Of the run.
        workers: Processes or an executor; 0 works in this one.
        store: Keeps what is done.
    """

    potential: PotentialLike
    loaded: Potential
    hull: Hull
    reference: Known | None
    max_above_hull: float
    judge: "PotentialLike | None"
    seed: int
    workers: Workers
    store: Store

    def released(self, finds: Sequence[Find]) -> list[Find]:
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

    def checked(self, finds: Sequence[Find]) -> list[Find]:
        """With what their vibrations say."""
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
