"""Tables with a column of CIF texts."""

import csv
from collections.abc import Iterator
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from ase_crysdiff.crystal.cif.reading import structure_from_cif
from ase_crysdiff.data.reading.record import Record
from ase_crysdiff.data.reading.source import Source
from ase_crysdiff.errors import InputError

_ID_COLUMNS = ("material_id", "id", "")
_CIF = "cif"


def open_table(source: Path | Source) -> TextIOWrapper:
    """A table as text, packed or not, with or without a byte-order mark."""
    csv.field_size_limit(10**8)
    return (source if isinstance(source, Source) else Source(source)).open()


def has_cif_column(source: Source) -> bool:
    """Whether a table has a column of CIF texts; damaged ones may."""
    try:
        with open_table(source) as file:
            return _CIF in (csv.DictReader(file).fieldnames or ())
    except (OSError, EOFError, csv.Error):
        return True  # it is reported when it is read


def table_records(source: Source, stem: str) -> Iterator[Record]:
    """The rows of a table, named by their `material_id` or `id`, else numbered.

    Raises:
        InputError: If it has no column `cif`.
    """
    with open_table(source) as file:
        table = csv.DictReader(file)
        if _CIF not in (table.fieldnames or ()):
            raise InputError(_no_column(source, list(table.fieldnames or ())))
        for number, row in enumerate(table):
            key = next((c for c in _ID_COLUMNS if row.get(c)), None)
            values = {}
            for column, text in row.items():
                if column not in (key, _CIF, "source", "formula") and text:
                    try:
                        values[column] = float(text)
                    except (TypeError, ValueError):  # no number, or more cells than columns
                        continue
            name = row[key] if key is not None else str(number)
            yield Record(name, partial(structure_from_cif, row[_CIF] or ""), values)


def _no_column(source: Source, columns: list[str]) -> str:
    text = f"{source} has no column 'cif'; it has {columns}."
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and sign in columns[0]:
            return f"{text} Its columns are separated by {name}; save it with commas."
    near = next((c for c in columns if c and c.strip().lower() == _CIF), None)
    return text if near is None else f"{text} Write {near!r} in lower case."
