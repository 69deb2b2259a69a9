"""Crystals from files: CDVAE-style tables, folders of CIF or POSCAR, extended XYZ, ASE
databases.
"""

import csv
import gzip
import json
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
from pymatgen.core import Structure
from pymatgen.io.cif import CifParser

from ase_crysdiff.crystal.convert import ROLE, atoms_to_structure
from ase_crysdiff.errors import InputError

_ID_COLUMNS = ("material_id", "id", "")
_NEGATIVE_LENGTH = re.compile(r"(?m)^\s*_cell_length_[abc]\s+-")
#: The file of all crystals that `crysdiff sample` and `crysdiff relax` write beside one CIF file
#: for each.
ALL_CRYSTALS = "crystals.extxyz"
#: Where the rows of our ASE databases keep site properties, in their `data`.
SITE_PROPERTIES = "crysdiff_site_properties"


@dataclass(frozen=True)
class Record:
    """One entry of a source: a way to get the structure, which may fail, and the numbers beside
    it.
    """

    name: str
    load: Callable[[], Structure]
    values: dict[str, float] = field(default_factory=dict)


def read_records(path: str | Path) -> Iterator[Record]:
    """The entries of a file or folder, one by one; a broken entry fails only when it is loaded, and
    a broken file is one entry.

    Recognised: `.csv` and `.csv.gz` with a `cif` column, `.cif` (every data block), POSCAR files,
    `.json` of structures, `.extxyz` / `.xyz`, ASE `.db`, and folders of those. Records can be sent
    to other processes.

    In a folder, tables without a `cif` column and JSON files without structures are no sources, and
    `crystals.extxyz` beside CIF files is left out: in the folders of `crysdiff sample` and
    `crysdiff relax` it holds the same crystals once more, and the CIF files are complete even if
    the run was interrupted.

    Raises:
        InputError: If the path does not exist or its kind is not known, or a table given by name
            has no column `cif`.
    """
    source = Path(path)
    if not source.exists():
        raise InputError(f"{source} does not exist.")
    if source.is_dir():
        files = _sources(source)
        if not files:
            raise InputError(f"{source} holds no CIF, POSCAR, extended XYZ, table or database.")
        for file in files:
            yield from read_records(file)
        return
    reader = _reader(source)
    if reader is None:
        raise InputError(
            f"{source.name} is of no known kind. Known: .csv, .csv.gz, .cif, .vasp, POSCAR*, "
            "CONTCAR*, .json, .extxyz, .xyz, .db"
        )
    yield from _guarded(source, reader)


def _sources(folder: Path) -> list[Path]:
    """The files of a folder that hold crystals, each crystal once."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and _reader(p) is not None)
    has_cif = any(p.suffix.lower() == ".cif" for p in files)
    readers = {p: _reader(p) for p in files if not (has_cif and p.name == ALL_CRYSTALS)}
    return [
        p
        for p, reader in readers.items()
        if not (reader is _table and not _has_cif_column(p)) and not _is_other_json(p)
    ]


def _has_cif_column(path: Path) -> bool:
    try:
        with open_table(path) as file:
            return "cif" in (csv.DictReader(file).fieldnames or ())
    except (OSError, EOFError, UnicodeDecodeError, csv.Error):
        return True  # damaged: it is reported when it is read


def _is_other_json(path: Path) -> bool:
    return path.suffix == ".json" and b'"sites"' not in path.read_bytes()


def _guarded(source: Path, reader: Callable[[Path], Iterator[Record]]) -> Iterator[Record]:
    """The records of a file; one that fails in its place if the file breaks off or holds none."""
    count = 0
    try:
        for record in reader(source):
            count += 1
            yield record
    except InputError:
        raise
    except Exception as error:  # whatever a parser raises concerns this file only
        yield Record(
            source.stem,
            partial(_refuse, f"{source.name} breaks off after {count} entries: {error!r}"),
        )
    else:
        if not count:
            yield Record(source.stem, partial(_refuse, f"{source.name} holds no crystals."))


def _refuse(reason: str) -> Structure:
    raise InputError(reason)


def _reader(path: Path) -> Callable[[Path], Iterator[Record]] | None:
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _table
    if name.endswith(".cif"):
        return _cif
    if name.endswith(".json"):
        return _json
    if name.endswith(".vasp") or name.startswith(("poscar", "contcar")):
        return _single
    if name.endswith((".extxyz", ".xyz")):
        return _xyz
    return _database if name.endswith(".db") else None


def open_table(path: Path) -> TextIOWrapper:
    """A table as text, packed or not."""
    csv.field_size_limit(10**8)
    return gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")


def _table(path: Path) -> Iterator[Record]:
    with open_table(path) as file:
        table = csv.DictReader(file)
        if "cif" not in (table.fieldnames or ()):
            raise InputError(f"{path.name} has no column 'cif'; it has {table.fieldnames}.")
        for number, row in enumerate(table):
            key = next((c for c in _ID_COLUMNS if row.get(c)), None)
            values = {}
            for column, text in row.items():
                if column not in (key, "cif", "source", "formula") and text:
                    try:
                        values[column] = float(text)
                    except ValueError:
                        continue
            yield Record(
                row[key] if key is not None else str(number),
                partial(structure_from_cif, row["cif"] or ""),
                values,
            )


def structure_from_cif(text: str) -> Structure:
    """The first crystal of a CIF text.

    Raises:
        InputError: If there is none, with what the parser says of it.
    """
    if _NEGATIVE_LENGTH.search(text):  # the parser takes it for a mirror image
        raise InputError("unreadable CIF: a negative cell length")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parser = CifParser.from_str(text, occupancy_tolerance=1.0)
        except (ValueError, ZeroDivisionError) as error:
            raise InputError(f"unreadable CIF: {error}") from error
        try:
            return _with_roles(parser.parse_structures(primitive=False)[0], parser)
        except ValueError as error:
            found = parser.warnings[-1].splitlines()[-1] if parser.warnings else "there are no data"
            raise InputError(f"unreadable CIF, no crystal in it: {found}") from error


def _with_roles(structure: Structure, parser: CifParser) -> Structure:
    """The structure with the roles of its sites, if the file tells them.

    pymatgen sorts the sites and reads no columns of others; what stays with a site is its label.
    """
    block = next(iter(parser.as_dict().values()))
    roles = block.get(f"_atom_site_{ROLE}")
    labels = block.get("_atom_site_label")
    if roles is None or labels is None:
        return structure
    of = dict(zip(labels, roles, strict=False))
    if len(of) == len(roles) and all(site.label in of for site in structure):
        structure.add_site_property(ROLE, [of[site.label] for site in structure])
    return structure


def _cif(path: Path) -> Iterator[Record]:
    blocks = re.split(r"(?m)^(?=data_)", path.read_text(errors="replace"))
    blocks = [b for b in blocks if b.startswith("data_")] or [blocks[0]]
    for number, block in enumerate(blocks):
        yield Record(
            path.stem if len(blocks) == 1 else f"{path.stem}-{number}",
            partial(structure_from_cif, block),
        )


def _single(path: Path) -> Iterator[Record]:
    yield Record(path.stem, partial(Structure.from_file, path))


def _json(path: Path) -> Iterator[Record]:
    """A structure, a list of them, or what `SampleSet.write` makes."""
    content = json.loads(path.read_text())
    if isinstance(content, dict) and "structures" not in content:
        yield Record(path.stem, partial(Structure.from_dict, content))
        return
    for number, entry in enumerate(content["structures"] if isinstance(content, dict) else content):
        yield Record(f"{path.stem}-{number}", partial(Structure.from_dict, entry))


def _xyz(path: Path) -> Iterator[Record]:
    for number, atoms in enumerate(ase.io.iread(path, format="extxyz")):
        yield Record(f"{path.stem}-{number}", partial(atoms_to_structure, atoms))


def _database(path: Path) -> Iterator[Record]:
    for row in ase.db.connect(path).select():
        yield Record(f"{path.stem}-{row.id}", partial(_from_row, row))


def _from_row(row: Any) -> Structure:
    atoms, data = row.toatoms(), dict(row.data)
    for name, values in data.pop(SITE_PROPERTIES, {}).items():
        atoms.set_array(name, np.array(values))
    atoms.info.update(data)
    return atoms_to_structure(atoms)
