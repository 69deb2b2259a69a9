"""First stage: every requested crystal, read and gated, with the reason for each that is lost."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff.constants import VOLUME_PER_ATOM
from ase_crysdiff.crystal.convert import as_structure, check_structure, entries_of
from ase_crysdiff.crystal.soundness import gate, unusable_species
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.data.reading.record import Record
from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation import Failure, Workers, map_isolated
from ase_crysdiff.metrics.examined import NO_STRUCTURE
from ase_crysdiff.sampling.folder import SampleFolder

#: Cells with more atoms are not scored: one would take longer than the rest of a set.
MAX_ATOMS_PER_CELL = 500
#: Seconds for reading one crystal, which takes milliseconds.
READ_LIMIT = 60.0


@dataclass(frozen=True)
class Entry:
    """One requested crystal.

    Args:
        index: Its position among all that were requested.
        name: Where it came from.
        structure: Bare elements, coordinates in [0, 1); None if it cannot be used.
        reason: Why it cannot be used; None if it can.
        stage: Where it was lost: "read" or "gate"; None if it was not.
    """

    index: int
    name: str
    structure: Structure | None
    reason: str | None = None
    stage: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **vars(self),
            "structure": None if self.structure is None else self.structure.as_dict(),
        }

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Entry":
        """The entry that `as_dict` described."""
        structure = values["structure"]
        return Entry(
            **{**values, "structure": None if structure is None else Structure.from_dict(structure)}
        )


def read_entries(sources: Sequence[str | Path], *, workers: Workers = 0) -> list[Entry]:
    """An entry for each crystal that files and folders were meant to hold, failed draws of
    `crysdiff sample` included.

    Args:
        sources: What `readers.read_all` knows.
        workers: Processes, which may hang or die at the cost of the file in work; 0 reads in this
            one.

    Raises:
        InputError: If a source does not exist or is of no known kind, or there are no crystals at
            all.
    """
    records = read_all(sources)
    if not records:
        raise InputError(f"There are no crystals in {', '.join(map(str, sources))}.")
    found = map_isolated(read_and_gate, records, workers=workers, timeout=READ_LIMIT)
    failed = [
        (f"draw {i}", f"not drawn: {why}")
        for s in map(Path, sources)
        for i, why in SampleFolder.failures(s).items()
    ]
    entries = []
    for index, (record, result) in enumerate(zip(records, found, strict=True)):
        structure, reason, stage = (
            (None, result.reason, "read") if isinstance(result, Failure) else result
        )
        entries.append(Entry(index, record.name, structure, reason, stage))
    return entries + [
        Entry(index, name, None, reason, "read")
        for index, (name, reason) in enumerate(failed, len(entries))
    ]


def take_entries(structures: Structure | Atoms | Iterable[Any]) -> list[Entry]:
    """An entry for each structure in memory, gated.

    Args:
        structures: Structures or ASE atoms; None stands for one that could not be made, and
            whatever else is among them is lost with its reason.
    """
    entries = []
    for index, entry in enumerate(entries_of(structures)):
        sound, reason, stage = _taken(entry)
        entries.append(Entry(index, str(index), sound, reason, stage))
    return entries


def _taken(entry: Any) -> "Verdict":
    if entry is None:
        return None, NO_STRUCTURE, "read"
    try:
        return _gated(as_structure(entry))
    except InputError as error:
        return None, str(error), "read"


def digest_of(sources: Sequence[str | Path]) -> str:
    """SHA-256 over names and bytes of the sources, so that other input is told from the same
    input.
    """
    digest = hashlib.sha256()
    for source in map(Path, sources):
        for file in (
            sorted(p for p in source.iterdir() if p.is_file()) if source.is_dir() else [source]
        ):
            digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


Verdict = tuple[Structure | None, str | None, str | None]


def read_and_gate(record: Record) -> Verdict:
    """The structure, or why and where it was lost; to be called in another process."""
    try:
        structure = record.load()
    except Exception as error:  # whatever a parser raises concerns this entry only
        first = (str(error).strip() or repr(error)).splitlines()[0]
        return (
            None,
            first[:200] if isinstance(error, InputError) else f"unreadable: {first[:200]}",
            "read",
        )
    return _gated(structure)


def _gated(structure: Structure) -> Verdict:
    reason = rejection_reason(structure)
    if reason is not None:
        return None, reason, "gate"
    return (
        Structure(
            structure.lattice, [site.specie.Z for site in structure], structure.frac_coords % 1.0
        ),
        None,
        None,
    )


def rejection_reason(structure: Structure) -> str | None:
    """Why a structure must not reach a potential; None if it may."""
    reason = unusable_species(structure) or _too_large(structure) or gate(structure)
    if reason is not None:
        return reason
    volume = structure.volume / len(structure)
    if volume < VOLUME_PER_ATOM[0]:
        return f"{volume:.3g} Å³ per atom, below {VOLUME_PER_ATOM[0]:g}"
    try:
        check_structure(structure)
    except InputError as error:
        return str(error)
    return None


def _too_large(structure: Structure) -> str | None:
    """Asked before anything looks for neighbours, which in a huge cell takes all memory there
    is.
    """
    if len(structure) > MAX_ATOMS_PER_CELL:
        return f"{len(structure)} atoms in the cell, more than {MAX_ATOMS_PER_CELL}"
    with np.errstate(invalid="ignore"):  # what is not finite is refused later, with that reason
        volume = abs(float(np.linalg.det(structure.lattice.matrix))) / len(structure)
    return (
        f"{volume:.3g} Å³ per atom, above {VOLUME_PER_ATOM[1]:g}"
        if VOLUME_PER_ATOM[1] < volume < math.inf
        else None
    )
