"""Formulas as amounts of elements, and as shares, which are the same for all multiples."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import TypeAlias

from pymatgen.core import Composition, Element

from ase_crysdiff.errors import InputError

Formula: TypeAlias = Composition | Mapping[str, float | int] | str
#: Symbols with their shares, by symbol.
Key: TypeAlias = tuple[tuple[str, float], ...]
_PLAIN = re.compile(r"(?:[A-Z][a-z]?\d*|\((?:[A-Z][a-z]?\d*)+\)\d*)+")
_PART = re.compile(r"([A-Z][a-z]?)(\d*)|\(([^()]*)\)(\d*)")
_SYMBOLS = frozenset(element.symbol for element in Element if element.Z < 119) - {"D", "T"}


def amounts(composition: Formula) -> dict[str, float]:
    """Amount of each element by symbol, without oxidation states; deuterium and tritium count as
    hydrogen.

    Raises:
        InputError: If it cannot be read as a chemical formula or is empty.
    """
    try:
        if isinstance(composition, str) and (plain := _of_plain(composition)):
            return plain
        given: dict[str, float] = Composition(composition).get_el_amt_dict()
        found: dict[str, float] = defaultdict(float)
        for symbol, amount in given.items():
            found[Element.from_Z(Element(symbol).Z).symbol] += amount
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{composition!r} cannot be read as a composition of elements ({error})."
        ) from error
    if not found:
        raise InputError("The composition is empty.")
    return dict(found)


def _of_plain(formula: str) -> dict[str, float] | None:
    """Amounts of a formula such as Ca3(PO4)2, far faster than by the reader of all formulas; None
    if it is of another kind.
    """
    if not _PLAIN.fullmatch(formula):
        return None
    found: dict[str, float] = {}
    for symbol, count, group, times in _PART.findall(formula):
        parts = _PART.findall(group) if group else [(symbol, count)]
        for element, number, *_ in parts:
            amount = int(number or 1) * int(times or 1)
            if element not in _SYMBOLS or not amount:
                return None
            found[element] = found.get(element, 0.0) + amount
    return found


def fractions(composition: Formula) -> Key:
    """Share of each element by symbol: the same for all multiples of a formula."""
    found = amounts(composition)
    total = sum(found.values())
    return tuple(sorted((symbol, round(amount / total, 12)) for symbol, amount in found.items()))


def reduced_formula(key: Key) -> str:
    """Reduced formula of shares."""
    formula, _ = Composition(dict(key)).get_integer_formula_and_factor()
    return str(Composition(formula).reduced_formula)
