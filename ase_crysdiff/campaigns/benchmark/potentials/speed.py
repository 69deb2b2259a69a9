"""Time and memory of one call."""

import ctypes
import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Row,
    Section,
    Values,
    single,
)
from ase_crysdiff.campaigns.benchmark.potentials.crystals import moved
from ase_crysdiff.campaigns.benchmark.potentials.solids import solids
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.relaxation.structures import configurations
from ase_crysdiff.storage import Store

#: A crystal of usual density that every potential knows, its cubic cell of eight atoms.
SOLID = "Si"
#: Calls, of which the fastest counts, and seconds after which no further one is made.
_CALLS, _SECONDS = 7, 20.0
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Speed(Section):
    """Energy, forces and stress of moved supercells of silicon, on one thread.

    Seconds are those of the processor, so that a busy machine counts for little. Memory is what
    the process holds at the worst moment of the call above what it held before.

    Args:
        sizes: Atoms; the nearest cubic supercell is taken.
    """

    name, title, compares = "speed", "one call, one thread", True

    def __init__(self, sizes: Sequence[int]) -> None:
        (solid,) = (solid for solid in solids() if solid.formula == SOLID)
        cell = solid.structure(conventional=True)
        repeats = sorted({max(1, round(np.cbrt(size / len(cell)))) for size in sizes})
        self._cells = {str(len(cell) * n**3): cell * (n, n, n) for n in repeats}
        self.settings = {"solid": SOLID}

    def items(self, folder: Store) -> list[Item]:
        return [
            Item(atoms, moved(cell, 0.02, 0.0, np.random.default_rng(0)))
            for atoms, cell in self._cells.items()
        ]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            # Whatever is made at the first call is no part of the memory of a later one.
            contender.potential.evaluate(configurations([next(iter(self._cells.values()))]))
            return single(lambda structure: _cost(structure, contender.potential), given)
        finally:
            torch.set_num_threads(threads)

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        rows = []
        for atoms in self._cells:
            ours, theirs = found.values.get(atoms), reference.values.get(atoms)
            seconds = None if ours is None else ours["seconds"]
            ratio = None if ours is None or theirs is None else theirs["seconds"] / ours["seconds"]
            rows += [
                Row(f"{atoms} atoms: time", "s", seconds),
                Row(f"{atoms} atoms: times as fast as the reference", "1", ratio),
                Row(f"{atoms} atoms: memory", "MB", None if ours is None else ours["memory"]),
            ]
        return rows


def _cost(structure: Structure, potential: Potential) -> dict[str, float | None]:
    """Seconds of processor time and MB of memory of one call."""
    given = configurations([structure]).to(potential.device, potential.dtype)
    memory = _peak(potential, given)
    seconds: list[float] = []
    while len(seconds) < _CALLS and sum(seconds) < _SECONDS:
        started = time.process_time()
        found = potential.evaluate(given)
        seconds.append(time.process_time() - started)
        if found.failures:
            raise ValueError(found.failures[0])
    return {"seconds": min(seconds), "memory": memory}


def _peak(potential: Potential, given: Any) -> float | None:
    """What one call needs, MB; None where the system does not tell."""
    gc.collect()
    try:
        # What is free already would hide what the call needs.
        ctypes.CDLL(None).malloc_trim(0)
        _CLEAR.write_text("5")  # the peak counts from now on
        before = _held("VmRSS")
    except (OSError, AttributeError):  # no Linux with the GNU library
        potential.evaluate(given)
        return None
    potential.evaluate(given)
    return max(0.0, _held("VmHWM") - before)


def _held(entry: str) -> float:
    """An entry of the process's status, MB."""
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(entry))
    return float(line.split()[1]) / 1024
