"""Structures after relaxation, and whether their end is to be believed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.crystal.soundness import gate, unphysical
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.structures import RelaxResult, relax

#: How `evaluate` relaxes.
FMAX, STEPS = 0.05, 500


@dataclass(frozen=True)
class Relaxed:
    """Structures after relaxation, for metrics that want them.

    Args:
        structures: One entry per requested structure; None where there is nothing that may be
            judged.
        failures: Reason by position, for structures that were never relaxed.
        rejected: The same and those whose end is not to be believed: not converged, or collapsed.
        settings: Potential and limits.
    """

    structures: Sequence[Structure | None]
    failures: Mapping[int, str]
    rejected: Mapping[int, str]
    settings: Mapping[str, Any]


def relaxed_by(structures: Sequence[Structure | None], potential: PotentialLike) -> Relaxed:
    """Relaxes what passes the gate, in batches, cells included.

    Args:
        structures: One entry per requested structure.
        potential: As in `relax`.
    """
    sound = {i: s for i, s in enumerate(structures) if s is not None and gate(s) is None}
    resolved = as_potential(potential)
    # Coordinates far outside the cell make some potentials hang.
    wrapped = [
        s.copy().translate_sites(list(range(len(s))), [0, 0, 0], to_unit_cell=True)
        for s in sound.values()
    ]
    found = dict(zip(sound, relax(wrapped, resolved, fmax=FMAX, steps=STEPS), strict=True))
    return relaxed_from(
        structures, found, {"potential": resolved.name, "fmax": FMAX, "steps": STEPS}
    )


def relaxed_from(
    structures: Sequence[Structure | None],
    found: Mapping[int, RelaxResult],
    settings: Mapping[str, Any],
) -> Relaxed:
    """The verdict on relaxations: gate and distances are checked again, since collapsed atoms may
    look stable.

    Args:
        structures: As requested.
        found: Result of each that was relaxed, by position.
        settings: Potential and limits, for the report.
    """
    after: list[Structure | None] = []
    failures: dict[int, str] = {}
    rejected: dict[int, str] = {}
    for i, structure in enumerate(structures):
        result = found.get(i)
        if result is None or math.isnan(result.energy) or result.structure is None:
            reason = gate(structure) if result is None else result.reason
            failures[i] = f"not relaxed: {reason}"
            after.append(None)
            continue
        after.append(result.structure)
        broken = gate(result.structure) or unphysical(result.structure)
        if broken is not None:
            rejected[i] = f"after relaxation: {broken}"
        elif not result.converged:
            rejected[i] = f"not converged: {result.reason}"
    return Relaxed(after, failures, dict(sorted({**failures, **rejected}.items())), settings)
