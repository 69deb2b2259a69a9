"""Energies above the hull and relaxations of many structures, each kept on disk as soon as it is
known.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.work import results_journal, sort_out
from ase_crysdiff.isolation import Workers
from ase_crysdiff.metrics.formation import energies_above_hull
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike
from ase_crysdiff.progress import tqdm
from ase_crysdiff.relaxation.engine import MAX_ATOMS
from ase_crysdiff.relaxation.grouped import groups, iter_groups
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.storage import Store

#: Structures by position.
Indexed: TypeAlias = Sequence[Structure] | Mapping[int, Structure]
#: Crystals whose energies are computed between two writes.
_GROUP = 64


def energies(
    folder: Store,
    name: str,
    structures: Indexed,
    chosen: Sequence[int],
    potential: Potential,
    hull: Hull,
) -> tuple[dict[int, float], dict[int, str]]:
    """Energies above the hull by position, eV/atom, and why those that are missing failed.

    Args:
        folder: Of the run.
        name: Of the journal.
        structures: As they are; nothing is relaxed.
        chosen: Positions whose energies are wanted.
        potential: What gives energies.
        hull: Reference compounds.
    """
    journal = results_journal(folder, name)
    done: dict[str, Any] = {e["key"]: e for e in journal.read()}
    missing = [i for i in chosen if str(i) not in done]
    bar = tqdm(total=len(missing), desc=name, unit=" crystals", disable=None)
    with bar:
        for first in range(0, len(missing), _GROUP):
            group = missing[first : first + _GROUP]
            found = energies_above_hull([structures[i] for i in group], potential, hull)
            entries: list[dict[str, Any]] = [
                {
                    "key": str(i),
                    "result": None if k in found.failures else float(height),
                    "failure": found.failures.get(k),
                }
                for k, (i, height) in enumerate(zip(group, found.energy_above_hull, strict=True))
            ]
            journal.add(entries)
            done |= {str(entry["key"]): entry for entry in entries}
            bar.update(len(group))
    values, failures = sort_out({str(i): done[str(i)] for i in chosen})
    return {int(k): v for k, v in values.items()}, {
        int(k): reason for k, reason in failures.items()
    }


def relaxed(
    folder: Store,
    name: str,
    structures: Indexed,
    chosen: Sequence[int],
    potential: PotentialLike,
    fmax: float,
    steps: int,
    strict: bool = True,
    workers: Workers = 0,
) -> tuple[dict[int, Structure], dict[int, str]]:
    """Relaxed structures by position, in their Niggli cells, and why the others are not.

    A relaxation counts if it has converged and the rules of `relax` accept it, or, if not strict,
    wherever nothing failed. Whole groups are relaxed, so that results depend neither on who
    computes them nor on what was there before.

    Args:
        folder: Of the run.
        name: Of the journal.
        structures: Where to start.
        chosen: Positions to be relaxed.
        potential: The energy surface.
        fmax: Largest force that may remain, eV/Å.
        steps: At most so many.
        strict: Whether only what is converged and accepted counts.
        workers: Processes or an executor; 0 relaxes in this process.
    """
    journal = results_journal(folder, name)
    done: dict[str, Any] = {e["key"]: e for e in journal.read()}
    start = {i: structures[i] for i in chosen}
    members = [group for group in groups(start) if any(str(i) not in done for i in group)]
    how = {
        "fmax": fmax,
        "steps": steps,
        "relax_cell": True,
        "optimizer": "lbfgs",
        "max_atoms": MAX_ATOMS,
    }
    found = iter_groups(dict(enumerate(members)), start, potential, how, workers=workers)
    total = sum(map(len, members))
    with journal.grouped() as note:
        for i, result in tqdm(found, total=total, desc=name, unit=" crystals", disable=None):
            if str(i) not in done:
                done[str(i)] = {"key": str(i), **_as_entry(result, strict)}
                note(done[str(i)])
    values, failures = sort_out({str(i): done[str(i)] for i in chosen})
    made = {}
    for i, found_at in ((int(key), v) for key, v in values.items()):
        final = Structure(
            Lattice(found_at["lattice"]), structures[i].species, np.array(found_at["frac_coords"])
        )
        made[i] = final.get_reduced_structure()
    return made, {int(k): reason for k, reason in failures.items()}


def _as_entry(result: RelaxResult, strict: bool) -> dict[str, Any]:
    failed = result.reason is not None if strict else math.isnan(result.energy)
    if result.structure is None or failed:
        return {"result": None, "failure": result.reason or "no structure"}
    s = result.structure
    return {
        "result": {"lattice": s.lattice.matrix.tolist(), "frac_coords": s.frac_coords.tolist()},
        "failure": None,
    }
