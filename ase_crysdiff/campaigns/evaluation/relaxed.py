"""Structures after relaxation, and whether their end is to be believed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.crystal.soundness import gate, unphysical
from ase_crysdiff.isolation import Workers
from ase_crysdiff.metrics.examined import NO_STRUCTURE, Examined, examined
from ase_crysdiff.potentials.loading import PotentialLike
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.structures import relax

#: How `evaluate` relaxes.
FMAX, STEPS = 0.05, 500


@dataclass(frozen=True)
class Relaxed:
    """Structures after relaxation, for metrics that want them.

    Args:
        structures: One entry per requested structure, with the verdict of the gate on each; None
            where there is nothing that may be judged.
        failures: Reason by position, for structures that were never relaxed.
        rejected: Reason by position, for those and for structures whose end is not to be believed:
            not converged, or collapsed.
        settings: Potential and limits.
    """

    structures: Examined
    failures: Mapping[int, str]
    rejected: Mapping[int, str]
    settings: Mapping[str, Any]


def relaxed_by(
    structures: Sequence[Structure | None], potential: PotentialLike, *, workers: Workers = 0
) -> Relaxed:
    """Relaxes what passes the gate, in batches, cells included.

    Args:
        structures: One entry per requested structure.
        potential: A name, a potential or any ASE calculator.
        workers: Processes or an executor; 0 relaxes in this one.
    """
    given = examined(structures)
    # Coordinates far outside the cell make some potentials hang.
    wrapped = [
        copy_of(s).translate_sites(list(range(len(s))), [0, 0, 0], to_unit_cell=True)
        for s in given.sound.values()
    ]
    results = relax(wrapped, potential, fmax=FMAX, steps=STEPS, workers=workers)
    found = dict(zip(given.sound, results, strict=True))
    return relaxed_from(
        given, found, {"potential": results.potential, "fmax": FMAX, "steps": STEPS}
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
    given = examined(structures)
    after: list[Structure | None] = []
    unsound: dict[int, str] = {}
    failures: dict[int, str] = {}
    rejected: dict[int, str] = {}
    for i in range(len(given)):
        result = found.get(i)
        if result is None or math.isnan(result.energy) or result.structure is None:
            reason = given.failures.get(i) if result is None else result.reason
            failures[i] = f"not relaxed: {reason}"
            unsound[i] = NO_STRUCTURE
            after.append(None)
            continue
        after.append(result.structure)
        broken = gate(result.structure)
        if broken is not None:
            unsound[i] = broken
        broken = broken or unphysical(result.structure)
        if broken is not None:
            rejected[i] = f"after relaxation: {broken}"
        elif not result.converged:
            # Of an accepted result the reason says that it has not converged, and no more.
            also = "" if result.accepted else "not converged, and "
            rejected[i] = f"{also}{result.reason}"
    rejected = dict(sorted({**failures, **rejected}.items()))
    return Relaxed(Examined(after, unsound), failures, rejected, settings)
