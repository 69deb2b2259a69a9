"""What a second potential says of relaxed crystals."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ase_crysdiff.relaxation.results import RelaxResult

if TYPE_CHECKING:
    from ase_crysdiff.potentials.loading import PotentialLike


def judged(results: Sequence[RelaxResult], potential: "PotentialLike") -> list[RelaxResult]:
    """The results with what a second potential says of those that have an energy."""
    from ase_crysdiff.potentials.loading import as_potential
    from ase_crysdiff.relaxation.ranking import single_points

    judge, found = as_potential(potential), list(results)
    usable = [i for i, r in enumerate(results) if r.structure and not math.isnan(r.energy)]
    structures = [s for i in usable if (s := results[i].structure) is not None]
    said = single_points(structures, judge)
    for k, (i, structure) in enumerate(zip(usable, structures, strict=True)):
        reason = said.failures.get(k)
        remark = said.doubts.get(k) if reason is None else f"{judge.name} has no energy: {reason}"
        energy = said.energies[k] * len(structure) if reason is None else None
        found[i] = replace(results[i], judge=judge.name, judge_energy=energy, judge_remark=remark)
    return found
