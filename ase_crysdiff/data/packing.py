"""From files of crystals to one packed file, with a report of what was left out and why."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import torch
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.crystal.reduction import computable_cell, niggli
from ase_crysdiff.crystal.reduction import primitive as primitive_cell
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.data.reading.record import Record
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation import Failure, Workers, run_isolated
from ase_crysdiff.progress import tqdm
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.finding import find_symmetric

#: A crystal, with its symmetry if that is wished.
Found: TypeAlias = tuple[Structure, SymmetricCrystal | None]
#: What is made of an entry.
T = TypeVar("T")
#: Entries that go to a process together.
_TOGETHER = 32
#: Seconds of processor time for one: symmetry takes seconds in cells of hundreds of atoms.
_TIMEOUT = 120.0


@dataclass(frozen=True)
class PackReport:
    """What became of every entry.

    Args:
        read: Entries found.
        kept: Entries packed.
        skipped: Name and reason of every other entry.
    """

    read: int
    kept: int
    skipped: tuple[tuple[str, str], ...]

    def summary(self) -> str:
        """One line per reason."""
        lines = [f"{self.kept} of {self.read} crystals packed"]
        reasons = Counter(reason.split(":")[0] for _, reason in self.skipped)
        lines += [f"  {count} skipped: {reason}" for reason, count in reasons.most_common()]
        return "\n".join(lines)


def pack(
    sources: Sequence[str | Path],
    *,
    max_atoms: int = 52,
    primitive: bool = False,
    symmetry: bool = False,
    workers: Workers = 0,
    progress: bool | None = None,
) -> tuple[PackedCrystals, PackReport]:
    """Reads crystals, brings them to their Niggli cell and packs them.

    Args:
        sources: Files and folders that `readers.read_all` knows.
        max_atoms: Larger cells are skipped and counted.
        primitive: Whether to reduce to the primitive cell first.
        symmetry: Whether to pack the scaffold of each crystal as well, found within 0.1 Å; crystals
            without one are skipped and counted.
        workers: Processes that read and reduce crystals, and find their symmetry; one at which a
            process ends is skipped and counted. 0 works in this one.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If no crystal is left.
    """
    records = read_all(sources)
    prepared = partial(_prepared, max_atoms, primitive, symmetry)
    found: list[Found | str] = each(prepared, records, "crystals", workers, progress)
    structures: list[Structure] = []
    kept: list[str] = []
    values: list[dict[str, float]] = []
    symmetric: list[SymmetricCrystal] = []
    skipped: list[tuple[str, str]] = []
    for record, one in zip(records, found, strict=True):
        if isinstance(one, str):
            skipped.append((record.name, one))
            continue
        structure, crystal = one
        structures.append(structure)
        symmetric += [] if crystal is None else [crystal]
        kept.append(" ".join(record.name.split()))
        values.append(record.values)
    report = PackReport(len(records), len(structures), tuple(skipped))
    if not structures:
        raise InputError(f"Nothing to pack: {report.summary()}")
    names = sorted({name for row in values for name in row})
    columns = {n: torch.tensor([row.get(n, float("nan")) for row in values]) for n in names}
    metadata = {
        "sources": ", ".join(Path(s).name for s in sources),
        "crystals": str(len(structures)),
    }
    scaffolds = PackedScaffolds.of(symmetric) if symmetry else None
    packed = PackedCrystals(from_structures(structures), columns, metadata, scaffolds, tuple(kept))
    return packed, report


def _prepared(max_atoms: int, primitive: bool, symmetry: bool, record: Record) -> Found:
    """The crystal of an entry in its Niggli cell, with its symmetry if that is wished."""
    structure = prepare(record.load(), max_atoms, primitive)
    return structure, find_symmetric(structure) if symmetry else None


def each(
    prepared: Callable[[Record], T],
    records: Sequence[Record],
    things: str,
    workers: Workers,
    progress: bool | None,
) -> list[T | str]:
    """What is made of every entry, in their order, or why nothing is.

    Args:
        prepared: Makes it; importable by name.
        records: The entries.
        things: What they are, for the progress bar.
        workers: Processes; 0 works in this one.
        progress: Whether to show a bar; None shows one on a terminal.
    """
    found: list[T | str] = [""] * len(records)
    chunks = [records[k : k + _TOGETHER] for k in range(0, len(records), _TOGETHER)]
    function = partial(_or_reason, prepared)
    answers = run_isolated(function, chunks, workers=workers, timeout=_TIMEOUT)
    disable = None if progress is None else not progress
    with tqdm(total=len(records), desc="pack", unit=f" {things}", disable=disable) as bar:
        for chunk, place, one in answers:
            found[chunk * _TOGETHER + place] = one.reason if isinstance(one, Failure) else one
            bar.update()
    return found


def _or_reason(prepared: Callable[[Record], T], record: Record) -> T | str:
    try:
        return prepared(record)
    except Exception as error:  # whatever a parser raises
        return reason_of(error)


def prepare(structure: Structure, max_atoms: int, primitive: bool = False) -> Structure:
    """The structure in its Niggli cell, by the reduction of predictions; its sites
    keep their order, and lose oxidation states and properties.

    Args:
        structure: Any.
        max_atoms: Larger cells are refused.
        primitive: Whether to take the primitive cell first.

    Raises:
        InputError: If it is no crystal to learn from: disordered, flat, too large, or with atoms on
            each other.
    """
    cell = computable_cell(structure)
    cell = niggli(primitive_cell(cell) if primitive else cell)
    if len(cell) > max_atoms:
        raise InputError(f"more than {max_atoms} atoms")
    elements = [Element.from_Z(int(number)) for number in cell.species]
    return Structure(Lattice(cell.lattice), elements, cell.frac_coords)


def reason_of(error: Exception) -> str:
    """What a report says of an entry that could not be read or prepared."""
    text = str(error).strip().split("\n")[0]
    if isinstance(error, InputError):
        return "disordered" if "disordered" in text else text.rstrip(".")
    return f"unreadable: {type(error).__name__} {text}"
