"""From tables and lists of crystals with a measured number each to what a property model can learn
from.

Nothing is guessed: a row that is missing, no number, said twice or contradicted by another one is
left out, counted and named.
"""

import csv
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.cif.reading import structure_from_cif
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.crystal.reduction import Cell, batch_of, reduced_cell
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.readers import read_records
from ase_crysdiff.data.reading.tables import open_table
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import CrysDiffError, InputError, did_you_mean
from ase_crysdiff.progress import tqdm

_ID_COLUMNS = ("material_id", "id", "name", "")
_MISSING = ("", "na", "nan", "none", "null", "-", "?")
#: Values of the same crystal that differ by less than this share of the standard deviation of all
#: values agree.
_AGREE = 0.01
#: Crystals are the same if volumes per atom differ by less than this share and all positions fit
#: closely.
_VOLUME = 0.005


@dataclass(frozen=True)
class Row:
    """One line of a table: a way to get the crystal, which may fail, and what stands beside it."""

    name: str
    load: Callable[[], Any]
    text: str


@dataclass(frozen=True)
class TableReport:
    """What became of every row.

    Args:
        read: Rows found.
        kept: Rows that can be learned from.
        left_out: Name and reason of every other one; the part of the reason before a colon is its
            kind.
    """

    read: int
    kept: int
    left_out: tuple[tuple[str, str], ...]

    def summary(self) -> str:
        """One line per kind of reason."""
        kinds = Counter(reason.split(":")[0] for _, reason in self.left_out)
        lines = [f"  {count} left out: {kind}" for kind, count in kinds.most_common()]
        return "\n".join([f"{self.kept} of {self.read} rows used", *lines])


def read_rows(path: str | Path, target: str, unit: str) -> list[Row]:
    """The rows of a table (`.csv`, `.csv.gz`) with a column `cif` (text) or `file` (a path,
    relative to the table).

    Args:
        path: The table.
        target: Name of the column; a unit in brackets behind the name, as in `gap (eV)`, need not
            be written out.
        unit: Of the values, as the caller states it.

    Raises:
        InputError: If the file is no such table, has no column of that name, or states another
            unit.
    """
    source = Path(path)
    columns, rows = read_table(source, "'cif' or 'file'")
    crystal = next((c for c in ("cif", "file") if c in columns), None)
    if crystal is None:
        raise InputError(f"{source.name} has no column 'cif' or 'file'; it has {columns}.")
    column = column_of(columns, target, unit, source.name)
    return [
        Row(
            _name(row, number),
            partial(_load, crystal, row[crystal] or "", source.parent),
            (row[column] or "").strip(),
        )
        for number, row in enumerate(rows)
    ]


def read_table(source: Path, needed: str) -> tuple[list[str], list[dict[str, str]]]:
    """Names of the columns of a table (`.csv`, `.csv.gz`), and its rows.

    Args:
        source: The table.
        needed: Names of columns that it should have, for the message.

    Raises:
        InputError: If the file is no such table.
    """
    if not source.exists():
        raise InputError(f"There is no file {source}.")
    if not source.is_file() or not source.name.lower().endswith((".csv", ".csv.gz")):
        raise InputError(
            f"{source} is no table. Give a .csv or .csv.gz file with a column {needed}."
        )
    try:
        with open_table(source) as file:
            table = csv.DictReader(file)
            return list(table.fieldnames or ()), list(table)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source} cannot be read as a table ({error}).") from error


def labelled(
    rows: Sequence[Row],
    *,
    transform: str | None = None,
    elements: Collection[int] | None = None,
    progress: bool | None = None,
) -> tuple[LabelledCrystals, TableReport]:
    """What can be learned from rows.

    Args:
        rows: Of a table, or made from structures and values.
        transform: What will be learned of the values, of `TRANSFORMS`; logarithms need values above
            0 or, for log1p, -1.
        elements: Atomic numbers that the model knows; None for all.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If no row is left; the message says what became of them.
    """
    left_out: list[tuple[str, str]] = []
    kept: dict[str, tuple[Cell, float]] = {}
    for row in tqdm(
        rows, desc="table", unit=" rows", disable=None if progress is None else not progress
    ):
        try:
            if row.name in kept:
                raise InputError("the name occurs before: names must differ")
            value = value_of(row.text, transform)
            kept[row.name] = (_cell(row, elements), value)
        except InputError as error:
            left_out.append((row.name, str(error).rstrip(".")))
    doubles = _doubles(kept)
    left_out += doubles.items()
    names = [name for name in kept if name not in doubles]
    report = TableReport(len(rows), len(names), tuple(left_out))
    if not names:
        raise InputError(f"No row can be used. {report.summary()}")
    cells, values = [kept[n][0] for n in names], [kept[n][1] for n in names]
    return LabelledCrystals(
        tuple(names), batch_of(cells), torch.tensor(values, dtype=torch.float64)
    ), report


def rows_of(
    structures: Sequence[Any],
    values: Sequence[Any] | NDArray[np.float64],
    names: Sequence[str] | None = None,
) -> list[Row]:
    """Rows from structures or ASE atoms and values; None and NaN are missing values.

    Raises:
        InputError: If there are not as many of one as of the other.
    """
    if len(structures) != len(values) or (names is not None and len(names) != len(values)):
        raise InputError(
            f"There are {len(structures)} structures and {len(values)} values; each structure "
            "needs one value."
        )
    called = [str(i) for i in range(len(values))] if names is None else names
    return [
        Row(name, partial(_given, structure), text_of(value))
        for name, structure, value in zip(called, structures, values, strict=True)
    ]


def column_of(columns: Sequence[str], target: str, unit: str, table: str) -> str:
    """Name of the column of a property; a unit in brackets behind it need not be written out.

    Args:
        columns: Of the table.
        target: Name of the property.
        unit: Of its values, as the caller states it.
        table: Name of the table.

    Raises:
        InputError: If there is none, there are several, or it is in another unit.
    """
    found = [c for c in columns if c and (c == target or _split_unit(c)[0] == target)]
    if not found:
        hint = did_you_mean(target, filter(None, columns))
        raise InputError(f"{table} has no column {target!r}.{hint} It has {columns}.")
    if len(found) > 1:
        raise InputError(
            f"{table} has several columns for {target!r}: {found}. Write the one you mean in full."
        )
    stated = _split_unit(found[0])[1]
    if stated is not None and stated != unit:
        raise InputError(
            f"The column {found[0]!r} of {table} is in {stated}, not in {unit}. Convert it, or "
            "give its unit."
        )
    return found[0]


def _split_unit(column: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"(.+?)\s*[(\[]\s*(.+?)\s*[)\]]", column)
    return (match[1], match[2]) if match else (column, None)


def _name(row: Mapping[str, str], number: int) -> str:
    return next((row[c] for c in _ID_COLUMNS if row.get(c)), str(number))


def _load(kind: str, content: str, folder: Path) -> Structure:
    if not content.strip():
        raise InputError("no structure")
    if kind == "cif":
        return structure_from_cif(content)
    records = list(read_records(folder / content))
    if len(records) != 1:
        raise InputError(f"unreadable structure: {content} holds {len(records)} crystals, not one")
    return records[0].load()


def _given(structure: Any) -> Any:
    return structure


def text_of(value: Any) -> str:
    """As a table would hold it; numbers of pymatgen with a unit, such as a density, without it."""
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def value_of(text: str, transform: str | None) -> float:
    """The number that a cell of a table holds.

    Raises:
        InputError: If it holds none that can be learned under the transform.
    """
    if text.lower() in _MISSING:
        raise InputError("no value")
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"not a number: {text[:40]!r}") from None
    if not math.isfinite(value):
        raise InputError(f"not a finite number: {text}")
    above = transform_of(transform).above
    if above is not None and value <= above:
        kind = "positive" if above == 0 else f"above {above:g}"
        raise InputError(f"not {kind}, but its logarithm is learned: {text}")
    return value


def _cell(row: Row, elements: Collection[int] | None) -> Cell:
    try:
        cell = reduced_cell(row.load())
    except CrysDiffError:
        raise
    except Exception as error:  # whatever a parser raises concerns this row only
        raise InputError(
            f"unreadable structure: {type(error).__name__} {error}".split("\n")[0]
        ) from error
    if elements is not None and not set(cell.species.tolist()) <= set(elements):
        unknown = sorted(set(cell.species.tolist()) - set(elements))
        symbols = ", ".join(SYMBOLS[z] for z in unknown)
        raise InputError(f"elements that the model does not know: {symbols}")
    return cell


def _doubles(kept: Mapping[str, tuple[Cell, float]]) -> dict[str, str]:
    """Rows of a crystal that an earlier row has, too; all rows of a crystal whose values contradict
    each other.
    """
    near = _AGREE * float(np.std([value for _, value in kept.values()])) if kept else 0.0
    doubles: dict[str, str] = {}
    for group in _same_crystals(kept):
        values = [kept[name][1] for name in group]
        if max(values) - min(values) > near:
            others = ", ".join(
                f"{name} {value:g}" for name, value in zip(group, values, strict=True)
            )
            doubles |= dict.fromkeys(group, f"contradictory values of the same crystal: {others}")
        else:
            doubles |= dict.fromkeys(
                group[1:], f"the same crystal and value as another row: {group[0]}"
            )
    return doubles


def _same_crystals(kept: Mapping[str, tuple[Cell, float]]) -> list[list[str]]:
    """Groups of names that stand for the same crystal."""
    matcher = StructureMatcher(
        ltol=0.01,
        stol=0.02,
        angle_tol=1.0,
        primitive_cell=False,
        scale=False,
        attempt_supercell=False,
    )
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, (cell, _) in kept.items():
        alike[tuple(np.sort(cell.species).tolist())].append(name)
    groups = []
    for names in (found for found in alike.values() if len(found) > 1):
        order = {name: i for i, name in enumerate(names)}
        volumes = {name: abs(np.linalg.det(kept[name][0].lattice)) for name in names}
        left = sorted(names, key=lambda name: volumes[name])
        while left:
            first, *rest = left
            near = [name for name in rest if volumes[name] <= volumes[first] * (1 + _VOLUME)]
            one = _structure(kept[first][0]) if near else None
            group = [first, *(name for name in near if matcher.fit(one, _structure(kept[name][0])))]
            left = [name for name in left if name not in group]
            if len(group) > 1:
                groups.append(sorted(group, key=order.__getitem__))
    return groups


def _structure(cell: Cell) -> Structure:
    return Structure(Lattice(cell.lattice), cell.species, cell.frac_coords)
