"""Crystals from files: CDVAE-style tables, folders of CIF or POSCAR, extended XYZ, ASE databases."""

import csv
import gzip
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ase.db
import ase.io
from pymatgen.core import Structure
from pymatgen.io.cif import CifParser

from ase_crysdiff.crystal.convert import atoms_to_structure
from ase_crysdiff.errors import InputError

_ID_COLUMNS = ("material_id", "id", "")


@dataclass(frozen=True)
class Record:
    """One entry of a source: a way to get the structure, which may fail, and the numbers beside it."""

    name: str
    load: Callable[[], Structure]
    values: dict[str, float] = field(default_factory=dict)


def read_records(path: str | Path) -> Iterator[Record]:
    """The entries of a file or folder, one by one; a broken entry fails only when it is loaded.

    Recognised: `.csv` and `.csv.gz` with a `cif` column, `.cif` (every data block), POSCAR files, `.json` of a structure,
    `.extxyz` / `.xyz`, ASE `.db`, and folders of those.

    Raises:
        InputError: If the path does not exist or its kind is not known.
    """
    source = Path(path)
    if not source.exists():
        raise InputError(f"{source} does not exist.")
    if source.is_dir():
        files = sorted(p for p in source.iterdir() if p.is_file() and _reader(p) is not None)
        if not files:
            raise InputError(f"{source} holds no CIF, POSCAR, extended XYZ, table or database.")
        for file in files:
            yield from read_records(file)
        return
    reader = _reader(source)
    if reader is None:
        raise InputError(
            f"{source.name} is of no known kind. Known: .csv, .csv.gz, .cif, .vasp, POSCAR*, CONTCAR*, .json, .extxyz, .xyz, .db"
        )
    yield from reader(source)


def _reader(path: Path) -> Callable[[Path], Iterator[Record]] | None:
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _table
    if name.endswith(".cif"):
        return _cif
    if name.endswith((".vasp", ".json")) or name.startswith(("poscar", "contcar")):
        return _single
    if name.endswith((".extxyz", ".xyz")):
        return _xyz
    return _database if name.endswith(".db") else None


def _table(path: Path) -> Iterator[Record]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        csv.field_size_limit(10**8)
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
            yield Record(row[key] if key is not None else str(number), _from_cif(row["cif"] or ""), values)


def _from_cif(text: str, block: int = 0) -> Callable[[], Structure]:
    def load() -> Structure:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return CifParser.from_str(text, occupancy_tolerance=1.0).parse_structures(primitive=False)[block]

    return load


def _cif(path: Path) -> Iterator[Record]:
    text = path.read_text(errors="replace")
    blocks = max(1, sum(line.startswith("data_") for line in text.splitlines()))
    for block in range(blocks):
        yield Record(path.stem if blocks == 1 else f"{path.stem}-{block}", _from_cif(text, block))


def _single(path: Path) -> Iterator[Record]:
    yield Record(path.stem, lambda: Structure.from_file(path))


def _xyz(path: Path) -> Iterator[Record]:
    for number, atoms in enumerate(ase.io.iread(path, format="extxyz")):
        yield Record(f"{path.stem}-{number}", partial(atoms_to_structure, atoms))


def _database(path: Path) -> Iterator[Record]:
    for row in ase.db.connect(path).select():
        yield Record(f"{path.stem}-{row.id}", partial(_from_row, row))


def _from_row(row: Any) -> Structure:
    return atoms_to_structure(row.toatoms())
