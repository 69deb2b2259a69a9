"""Formulas with a measured number each, of compounds whose structure nobody gives."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition, Element

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.data.property_tables import column_of, read_table, text_of, value_of
from ase_crysdiff.errors import InputError

Array = NDArray[np.float64]

#: The column that holds the formulas.
FORMULA = "formula"
#: Shares of all elements that agree this far are one formula: amounts are written in two or three
#: digits.
_SAME = 0.004


@dataclass(frozen=True)
class LabelledFormulas:
    """Formulas and values.

    Args:
        shares: Of each element among the atoms, by atomic number, shape (formulas, elements).
        values: In the unit of the property, shape (formulas,).
        left_out: Name and reason of what could not be used.
    """

    shares: Array
    values: Array
    left_out: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def without(self, shares: Array) -> "LabelledFormulas":
        """Those that are none of some other formulas: what is measured on crystals must not be
        learned from their formulas before.

        Args:
            shares: Of the other formulas, shape (others, elements).
        """
        known: dict[bytes, list[Array]] = defaultdict(list)
        for row in np.unique(shares, axis=0):
            known[(row > 0).tobytes()].append(row)
        kept = [
            i
            for i, row in enumerate(self.shares)
            if not any(
                np.abs(other - row).max() <= _SAME for other in known.get((row > 0).tobytes(), ())
            )
        ]
        return LabelledFormulas(self.shares[kept], self.values[kept], self.left_out)


def read_formulas(
    path: str | Path, target: str, unit: str, transform: str | None = None
) -> LabelledFormulas:
    """The formulas of a table (`.csv`, `.csv.gz`) with a column `formula` and the target.

    Args:
        path: The table.
        target: Name of the column; a unit in brackets behind the name need not be written out.
        unit: Of the values, as the caller states it.
        transform: What will be learned of the values, of `TRANSFORMS`.

    Raises:
        InputError: If the file is no such table, has no such column, states another unit, or no row
            of it can be used.
    """
    source = Path(path)
    columns, rows = read_table(source, repr(FORMULA))
    if FORMULA not in columns:
        raise InputError(f"{source.name} has no column {FORMULA!r}; it has {columns}.")
    column = column_of(columns, target, unit, source.name)
    return labelled_formulas(
        ((row[FORMULA] or "", (row[column] or "").strip()) for row in rows), transform
    )


def formulas_of(values: Mapping[Any, Any], transform: str | None = None) -> LabelledFormulas:
    """Formulas, texts or compositions, and values that are at hand; None and NaN are missing ones.

    Raises:
        InputError: If none of them can be used.
    """
    return labelled_formulas(((str(name), text_of(x)) for name, x in values.items()), transform)


def labelled_formulas(
    pairs: Iterable[tuple[str, str]], transform: str | None = None
) -> LabelledFormulas:
    """What can be learned from formulas and the texts of their values. Of a formula that is there
    several times the median counts.

    Raises:
        InputError: If none of them can be used.
    """
    found: dict[tuple[tuple[int, float], ...], list[float]] = defaultdict(list)
    left_out = []
    for name, text in pairs:
        try:
            value = value_of(text, transform)
            found[_shares(name)].append(value)
        except InputError as error:
            left_out.append((name, str(error).rstrip(".")))
    if not found:
        first = f" The first: {left_out[0][0]}: {left_out[0][1]}." if left_out else ""
        raise InputError(f"None of {len(left_out)} formulas can be used.{first}")
    table = np.zeros((len(found), NUM_SPECIES))
    for row, contents in zip(table, found, strict=True):
        for z, share in contents:
            row[z] = share
    return LabelledFormulas(
        table, np.array([np.median(x) for x in found.values()]), tuple(left_out)
    )


def _shares(formula: str) -> tuple[tuple[int, float], ...]:
    try:
        contents = Composition(formula.strip())
    except Exception:  # whatever pymatgen raises: this is no formula
        raise InputError(f"not a formula: {formula[:40]!r}") from None
    amounts: dict[int, float] = defaultdict(float)
    for species, amount in contents.items():
        element = getattr(species, "element", species)
        if not isinstance(element, Element) or element.Z >= NUM_SPECIES:
            raise InputError(f"not of known elements: {formula[:40]!r}")
        amounts[element.Z] += amount
    total = sum(amounts.values())
    if not amounts or not math.isfinite(total) or total <= 0:
        raise InputError(f"not a formula: {formula[:40]!r}")
    return tuple((z, round(n / total, 6)) for z, n in sorted(amounts.items()))
