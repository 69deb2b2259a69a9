"""From files of frameworks to packed building blocks, with a report of what was left out."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pymatgen.core import Structure

from ase_crysdiff.crystal.reduction import computable_cell, niggli, primitive
from ase_crysdiff.data.frameworks import PackedFrameworks
from ase_crysdiff.data.packing import PackReport, each
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.data.reading.record import Record
from ase_crysdiff.errors import InputError
from ase_crysdiff.frameworks.batch import FrameworkBatch
from ase_crysdiff.frameworks.blocks import Framework
from ase_crysdiff.frameworks.cutting import cut
from ase_crysdiff.isolation import Workers


def cut_structure(structure: Structure, max_atoms: int | None = None) -> Framework:
    """The blocks of a structure's primitive Niggli cell, without their symmetries.

    Args:
        structure: Ordered and periodic.
        max_atoms: Larger cells are refused.

    Raises:
        InputError: If it is no crystal, too large, or cannot be cut.
    """
    return _cut(structure, max_atoms, False)


def pack_frameworks(
    sources: Sequence[str | Path],
    *,
    max_atoms: int = 200,
    workers: Workers = 0,
    progress: bool | None = None,
) -> tuple[PackedFrameworks, PackReport]:
    """Reads frameworks, brings them to their primitive Niggli cell, cuts them and packs the blocks.

    Args:
        sources: Files and folders that `readers.read_all` knows.
        max_atoms: Larger cells are skipped and counted.
        workers: Processes that read and cut frameworks; 0 works in this one.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If no framework is left.
    """
    records = read_all(sources)
    cells: list[Framework | str] = each(
        partial(_cut_entry, max_atoms), records, "frameworks", workers, progress
    )
    pairs = list(zip(records, cells, strict=True))
    found = [one for one in cells if not isinstance(one, str)]
    names = [record.name for record, one in pairs if not isinstance(one, str)]
    skipped = [(record.name, one) for record, one in pairs if isinstance(one, str)]
    report = PackReport(len(records), len(found), tuple(skipped))
    if not found:
        raise InputError(f"Nothing to pack: {report.summary()}")
    metadata = {
        "sources": ", ".join(Path(s).name for s in sources),
        "crystals": str(len(found)),
    }
    return PackedFrameworks(FrameworkBatch.of(found), metadata, tuple(names)), report


def _cut_entry(max_atoms: int, record: Record) -> Framework:
    return _cut(record.load(), max_atoms, True)


def _cut(structure: Structure, max_atoms: int | None, symmetries: bool) -> Framework:
    cell = niggli(primitive(computable_cell(structure)))
    if max_atoms is not None and len(cell) > max_atoms:
        raise InputError(f"more than {max_atoms} atoms")
    return cut(cell, symmetries)
