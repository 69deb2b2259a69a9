"""From the names that CIF files give to space groups to settings of the tables.

Files name a group by its Hall symbol, which is unique, by a Hermann-Mauguin symbol in one of many
spellings (`R -3 c :H`, `F d -3 m S`, `Fm3m`, `P 21/n`, `P 1 21/n 1`), or by its number alone. What
a name leaves open (the origin, the axes) is left to the contents of the file.

Source: the 530 settings of spglib's table (A. Togo, K. Shinohara, I. Tanaka, STAM Methods 4,
2384822 (2024)), which follow S. R. Hall and R. W. Grosse-Kunstleve.
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import spglib

from ase_crysdiff.crystal.cif.operators import PARTS, Operators
from ase_crysdiff.errors import InputError

SETTINGS = range(1, 531)
#: What the marks of databases mean in terms of the tables: ICSD writes S for an origin on the site
#: of special symmetry (choice 1) and Z for one in the centre (choice 2), H and R for the axes.
_MARKS = (("h", "H"), ("r", "R"), ("s", "1"), ("z", "2"), ("o1", "1"), ("o2", "2"))
#: A mark behind a symbol; no symbol itself ends in one of these letters.
_MARKED = re.compile(r"(?P<symbol>.+?)(?::(?P<after>[a-z0-9-]+)|(?P<mark>[hrsz]{1,2}|o[12]))")


def _table(read: Callable[[int], Any], hall_number: int) -> Any:
    """An entry of spglib's tables."""
    with warnings.catch_warnings():  # spglib warns of how it will report errors in the future
        warnings.simplefilter("ignore", DeprecationWarning)
        return read(hall_number)


@cache
def setting(hall_number: int) -> Any:
    """What spglib's table says of a setting."""
    return _table(spglib.get_spacegroup_type, hall_number)


@cache
def tabulated(hall_number: int) -> Operators:
    """The operators of a setting."""
    found = _table(spglib.get_symmetry_from_database, hall_number)
    known = setting(hall_number)
    choice = f":{known.choice}" if known.choice else ""
    return Operators(
        np.array(found["rotations"], dtype=np.int64),
        np.round(np.array(found["translations"]) * PARTS) / PARTS,
        f"the operators of {known.international_full.replace('_', '')}{choice}",
    )


def settings_of(hall: str | None, symbols: list[str], number: int | None) -> list[int]:
    """Hall numbers of the settings that these names may mean, the likeliest first; empty if none of
    the names is understood.

    Args:
        hall: The Hall symbol.
        symbols: Hermann-Mauguin symbols.
        number: Of the space group.

    Raises:
        InputError: If the names contradict each other.
    """
    by_hall = _hall_symbols().get(_spaced(hall), []) if hall else []
    if by_hall:
        return by_hall
    found: list[int] = []
    for symbol in symbols:
        found = found or _of_symbol(symbol)
    if not found:
        return [] if number is None else _of_number(number)
    if number is None:
        return found
    agreeing = [h for h in found if setting(h).number == number]
    if not agreeing:
        named = setting(found[0])
        raise InputError(
            f"The space group {symbols[0]!r} has the number {named.number}, and the file says "
            f"{number}. Correct one of them, or give the operators."
        )
    return agreeing


def unique_axis(hall_number: int) -> str:
    """Letter of the unique axis of a monoclinic setting; empty for other groups."""
    found = setting(hall_number)
    return found.choice.lstrip("-")[:1] if 3 <= found.number <= 15 else ""


def _of_symbol(symbol: str) -> list[int]:
    """Settings of a Hermann-Mauguin symbol, with or without a mark of the setting."""
    plain = _plain(symbol)
    match = _MARKED.fullmatch(plain)
    if match is None:
        return _named(plain)
    found = _named(match["symbol"])
    mark = match["after"] or match["mark"]
    wanted = next((choice for letters, choice in _MARKS if letters in mark), mark)
    chosen = [h for h in found if setting(h).choice.upper() == wanted.upper()]
    # A mark that the group has no choice for, such as the S of 'F m -3 m S', says nothing.
    return chosen or found


def _named(plain: str) -> list[int]:
    exact = _symbols().get(plain)
    if exact is not None:
        return exact
    # Since 1992 the letter e stands for glide planes that were called a, b or c: Cmce was Cmca.
    return [
        h
        for name, settings in _symbols().items()
        if "e" in name and re.fullmatch(name.replace("e", "[abc]"), plain)
        for h in settings
    ]


def _of_number(number: int) -> list[int]:
    """The standard setting of a group, with all its origins and both axes of rhombohedral ones."""
    if not 1 <= number <= 230:
        raise InputError(f"There is no space group with the number {number}; they are 1 to 230.")
    return [
        h
        for h in SETTINGS
        if setting(h).number == number and setting(h).choice in ("", "b", "b1", "1", "2", "H", "R")
    ]


@cache
def _symbols() -> dict[str, list[int]]:
    """Settings by what they are called, without spaces and in lower case."""
    found: dict[str, list[int]] = defaultdict(list)
    for h in SETTINGS:
        listed = setting(h)
        full = listed.international_full
        names = {full, listed.international.split("=")[-1]}
        if 3 <= listed.number <= 15:  # P 1 21/n 1 is also P 21/n, as is P 1 1 21/n
            letter, *axes = full.split()
            names.add(letter + "".join(axis for axis in axes if axis != "1"))
        else:
            names.add(listed.international_short)
        if listed.number >= 195:  # before 1983: Fm3m
            names |= {name.replace("-3", "3") for name in names}
        for name in {_plain(name) for name in names}:
            found[name].append(h)
    return dict(found)


@cache
def _hall_symbols() -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for h in SETTINGS:
        found[_spaced(setting(h).hall_symbol)].append(h)
    return dict(found)


def _plain(symbol: str) -> str:
    """Without spaces and marks of print, in lower case; a bar is a minus sign."""
    plain = re.sub(r"[\s_\"'\\{}()~]", "", symbol).lower()
    return re.sub(r"bar(\d)|(\d)(?:bar|\u0305|\u0304)", r"-\1\2", plain)


def _spaced(hall: str) -> str:
    """In lower case with single spaces, which matter here: P 3 2 is not P 32."""
    return " ".join(hall.replace("_", " ").replace("\\", "").lower().split())
