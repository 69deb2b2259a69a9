"""POSCAR of all versions of VASP."""

import re

from pymatgen.core import Element, Structure
from pymatgen.io.vasp import Poscar

from ase_crysdiff.data.reading.record import in_words
from ase_crysdiff.errors import InputError

#: Place of the line with the symbols, and in VASP 4, which has none, of the numbers of atoms.
_SYMBOLS = 5
_FLAGS = {"T", "F", ".TRUE.", ".FALSE."}


def structure_from_poscar(text: str) -> Structure:
    """The crystal of a POSCAR file.

    Files of VASP 4 have no line with symbols. They are read if coordinates have symbols behind
    them, or the first line names as many elements as there are numbers of atoms.

    Raises:
        InputError: If it cannot be read, or names no elements.
    """
    lines = text.splitlines()
    counts = lines[_SYMBOLS].split() if len(lines) > _SYMBOLS else []
    if counts and all(word.isdigit() for word in counts):
        numbers = [int(word) for word in counts]
        symbols = _behind_coordinates(lines, numbers) or _in_title(lines[0], numbers)
        if symbols is None:
            raise InputError(
                f"This POSCAR names no elements: line 6 has the numbers of atoms "
                f"{' '.join(counts)}, as in VASP 4, and the first line, {lines[0].strip()!r}, does "
                "not name as many elements. Insert a line with their symbols before line 6."
            )
        lines.insert(_SYMBOLS, " ".join(symbols))
    try:
        return Poscar.from_str("\n".join(lines) + "\n", read_velocities=False).structure
    except Exception as error:  # whatever pymatgen raises concerns this file only
        raise InputError(f"unreadable POSCAR: {in_words(error)}") from error


def _behind_coordinates(lines: list[str], numbers: list[int]) -> list[str] | None:
    """Symbols behind the coordinates, equal for all atoms of a number."""
    first = _SYMBOLS + 2  # the mode follows the numbers, perhaps after the word for fixed atoms
    if len(lines) > first and lines[first - 1].strip()[:1].lower() == "s":
        first += 1
    rows = [line.split()[3:] for line in lines[first : first + sum(numbers)]]
    rows = [
        row[3:] if len(row) >= 3 and set(map(str.upper, row[:3])) <= _FLAGS else row for row in rows
    ]
    if len(rows) < sum(numbers) or not all(row and Element.is_valid_symbol(row[0]) for row in rows):
        return None
    symbols: list[str] = []
    start = 0
    for count in numbers:
        group = {row[0] for row in rows[start : start + count]}
        if len(group) != 1:
            return None
        symbols += group
        start += count
    return symbols


def _in_title(title: str, numbers: list[int]) -> list[str] | None:
    """Symbols such as `Na Cl`, `NaCl` or `Al2 O3` that are all the first line says."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", title)
    if "".join(f"{symbol}{count}" for symbol, count in parts) != "".join(title.split()):
        return None
    symbols = [symbol for symbol, _ in parts]
    if len(symbols) != len(numbers) or not all(map(Element.is_valid_symbol, symbols)):
        return None
    stated = [int(count or 1) for _, count in parts]
    in_ratio = all(a * numbers[0] == b * stated[0] for a, b in zip(stated, numbers, strict=True))
    return symbols if in_ratio or not any(count for _, count in parts) else None
