"""Crystals from files and folders: CIF, POSCAR, extended XYZ, JSON, tables with CIF texts, ASE
databases, packed or in archives.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pymatgen.core import Structure

from ase_crysdiff.data.reading.archives import archive_records, has_arrays
from ase_crysdiff.data.reading.json_entries import has_structures, json_records
from ase_crysdiff.data.reading.kinds import KNOWN, reader_of, stem_of
from ase_crysdiff.data.reading.record import Record, broken, in_words
from ase_crysdiff.data.reading.source import Source, members_of
from ase_crysdiff.data.reading.tables import has_cif_column, table_records
from ase_crysdiff.errors import InputError

log = logging.getLogger(__name__)

#: The file of all crystals that `crysdiff sample` and `crysdiff relax` write beside one CIF file
#: for each.
ALL_CRYSTALS = "crystals.extxyz"
#: Files with crystals that a folder of ours holds as CIF files, too.
_AGAIN = (ALL_CRYSTALS, "selected.extxyz")
#: What else our commands write into a folder: none of it is a crystal that is left out.
_OURS = ("run.json", "journal.jsonl", "table.csv", "selected.csv", "report.html", "metrics.json")
_NAMED = 8


def read_records(path: str | Path) -> Iterator[Record]:
    """The entries of a file or folder, one by one; a broken entry fails only when it is loaded, and
    a broken file is one entry.

    Recognised, also packed as `.gz`, `.bz2`, `.xz`: `.cif` and `.mcif` (every data block that holds
    a crystal), POSCAR and CONTCAR in any spelling (`X_POSCAR`, `POSCAR.X`, `.vasp`), `.extxyz` /
    `.xyz`, `.json` of structures and entries, `.csv` with a `cif` column; ASE `.db`, NumPy `.npz`
    of all crystals' arrays, `.zip` archives and folders of those. Records can be sent to other
    processes.

    In a folder, tables without a `cif` column, JSON files without structures and NumPy archives
    without the arrays of crystals are no sources, and
    `crystals.extxyz` and `selected.extxyz` beside CIF files are left out: in the folders of
    `crysdiff sample` and `crysdiff relax` they hold the same crystals once more, and the CIF files
    are complete even if the run was interrupted. What else is left out, subfolders too, is named in
    a warning of the logger `ase_crysdiff.data.readers`.

    A CIF file with two descriptions of one crystal, such as a published and a standardised cell, is
    two entries.

    Raises:
        InputError: If the path does not exist or its kind is not known, or a table given by name
            has no column `cif`.
    """
    given = Path(path)
    if not given.exists():
        raise InputError(f"{given} does not exist.")
    if given.is_dir() or given.suffix.lower() == ".zip":
        yield from _together(given)
        return
    if reader_of(Source(given)) is None:
        raise InputError(f"{given.name} is of no known kind. Known: {KNOWN}")
    yield from _guarded(Source(given), stem_of(Source(given)), by_name=True)


def read_structure(path: str | Path) -> Structure:
    """The one crystal of a file.

    Args:
        path: What `read_records` knows.

    Raises:
        InputError: If it cannot be read, or holds several crystals.
    """
    records = list(read_records(path))
    if len(records) != 1:
        raise InputError(f"{path} holds {len(records)} crystals, and one is needed.")
    try:
        return records[0].load()
    except Exception as error:  # whatever a parser raises
        raise InputError(f"{path} cannot be read as a structure: {in_words(error)}") from error


def read_all(paths: Iterable[str | Path]) -> list[Record]:
    """The entries of several files and folders. Entries of different files that have the same name
    get the names of their folders before it.

    Args:
        paths: What `read_records` knows.

    Raises:
        InputError: As `read_records`.
    """
    records = [record for path in paths for record in read_records(path)]
    for level in range(3):
        sources = defaultdict(set)
        for record in records:
            sources[record.name].add(record.source)
        records = [
            replace(r, name=f"{r.source.absolute().parents[level].name}/{r.name}")
            if len(sources[r.name]) > 1 and r.source and len(r.source.absolute().parents) > level
            else r
            for r in records
        ]
    return records


def _together(given: Path) -> Iterator[Record]:
    """The entries of a folder or an archive."""
    folder = given.is_dir()
    everything = [Source(p) for p in sorted(given.iterdir())] if folder else _members(given)
    chosen = _sources(everything)
    left_out = [
        str(s) + "/" * s.path.is_dir()
        for s in everything
        if s not in chosen and not _is_ours(s, everything)
    ]
    if not chosen:
        hint = f" Left out: {_listed(left_out)}." if left_out else ""
        raise InputError(
            f"{given} holds no CIF, POSCAR, extended XYZ, JSON, table or database.{hint} Known: "
            f"{KNOWN}. Folders in it are given one by one."
        )
    if left_out:
        log.warning("%s: left out %s", given, _listed(left_out))
    stems = Counter(stem_of(source) for source in chosen)
    for source in chosen:
        if source.member is None and source.path.suffix.lower() == ".zip":
            yield from _together(source.path)
        else:
            stem = stem_of(source)
            # `a.cif` beside `a.json`, or `A/x.cif` and `B/x.cif` in an archive
            yield from _guarded(source, str(source) if stems[stem] > 1 else stem, by_name=False)


def _members(archive: Path) -> list[Source]:
    try:
        return members_of(archive)
    except Exception as error:  # whatever the archive raises
        raise InputError(f"{archive} is no readable zip archive ({in_words(error)}).") from error


def _sources(everything: list[Source]) -> list[Source]:
    """The sources that hold crystals, each crystal once."""
    files = [s for s in everything if not s.path.is_dir()]
    has_cif = any(s.name.lower().endswith(".cif") for s in files)
    found = []
    for source in files:
        reader = reader_of(source)
        is_archive = source.member is None and source.path.suffix.lower() == ".zip"
        if (reader is None and not is_archive) or (has_cif and source.name in _AGAIN):
            continue
        if (
            (reader is table_records and not has_cif_column(source))
            or (reader is json_records and not has_structures(source))
            or (reader is archive_records and not has_arrays(source))
        ):
            continue
        found.append(source)
    return found


def _is_ours(source: Source, everything: list[Source]) -> bool:
    """Whether a source that is left out is no loss: a file of our commands, or a hidden one."""
    if source.name.startswith(".") or source.name in _OURS:
        return True
    return source.name in _AGAIN and any(s.name.lower().endswith(".cif") for s in everything)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _guarded(source: Source, stem: str, by_name: bool) -> Iterator[Record]:
    """The records of a file, named after a stem; one that fails in its place if the file breaks
    off or holds none. A file that a user names and that is of another kind than it seems is
    refused.
    """
    reader, count = reader_of(source), 0
    assert reader is not None
    try:
        for record in reader(source, stem):
            count += 1
            yield replace(record, source=source.path)
    except Exception as error:  # whatever a parser raises concerns this file only
        if by_name and not count and isinstance(error, InputError):
            raise
        reason = f"{source} breaks off after {count} entries: {in_words(error)}"
        yield replace(broken(stem, reason), source=source.path)
    else:
        if not count:
            yield replace(broken(stem, f"{source} holds no crystals."), source=source.path)
