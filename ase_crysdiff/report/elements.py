"""A periodic table, shaded by how many crystals hold each element."""

import math
from collections.abc import Mapping

from ase.data import chemical_symbols

from ase_crysdiff.pictures.svg import picture, rect, text

_CELL = 40.0
_COLUMNS = 18
_LAST = 103


def periodic_table(counts: Mapping[str, int]) -> str:
    """Lanthanides and actinides stand below the rest, as usual.

    Args:
        counts: Crystals that hold the element, by symbol.
    """
    most = max(counts.values(), default=1)
    parts = []
    for number in range(1, _LAST + 1):
        symbol = chemical_symbols[number]
        column, row = place(number)
        count = counts.get(symbol, 0)
        # Square root: rare elements are seen, too.
        level = math.ceil(9 * math.sqrt(count / most)) if count else 0
        x, y = column * _CELL, row * _CELL
        parts.append(
            rect(x + 1, y + 1, _CELL - 2, _CELL - 2, f"el l{level}", f"{symbol}: {count} crystals")
        )
        kind = "symbol dark" if level >= 6 else "symbol"
        parts.append(text(x + _CELL / 2, y + (20 if count else 26), symbol, kind))
        if count:
            parts.append(text(x + _CELL / 2, y + 33, str(count), kind.replace("symbol", "count")))
    used = sum(c > 0 for c in counts.values())
    return picture(
        _COLUMNS * _CELL,
        9.4 * _CELL,
        f"Periodic table of the {used} elements used",
        parts,
        "periodic",
    )


def place(number: int) -> tuple[int, float]:
    """Column and row of an element, from 0."""
    for first, last, row in ((57, 71, 7.4), (89, 103, 8.4)):
        if first <= number <= last:
            return number - first + 2, row
    if number <= 2:
        return (0 if number == 1 else 17), 0.0
    for noble, row in ((2, 1), (10, 2), (18, 3), (36, 4), (54, 5), (86, 6)):
        following = {2: 10, 10: 18, 18: 36, 36: 54, 54: 86, 86: 118}[noble]
        if noble < number <= following:
            from_left, from_right = number - noble - 1, following - number
            return (from_left if from_left < 2 else 17 - from_right), float(row)
    raise ValueError(f"There is no element {number}.")
