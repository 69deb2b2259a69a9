"""Which element a CIF file means by a type symbol or a label.

`_atom_site_type_symbol` names it. Without one, a label such as `HO1` may be holmium or a hydrogen
of the oxygen O1: the formula decides, then the way in which the other labels are written.
"""

import re
from collections.abc import Collection, Sequence

from pymatgen.core import Element

from ase_crysdiff.errors import InputError

#: Names of mineralogy for oxygen that stands for a hydroxide ion or a molecule of water.
HYDROUS = ("wat", "ow", "oh", "o-h", "h2o")
#: How labels write symbols of two letters: MG1, or Mg1.
_STYLES = ("UPPER", "Mixed")
_LETTERS = re.compile(r"[A-Za-z]+")


def of_type(symbol: str) -> Element:
    """The element of a type symbol: `Mg`, `Mg2+`, `MG`, `D`, `Cval`, `Wat`.

    Raises:
        InputError: If it names none.
    """
    if is_hydrous(symbol):
        return Element("O")
    letters = _letters(symbol)
    found = next((r for r in (letters[:2], letters[:1]) if _is_element(r)), None)
    if found is None:
        raise InputError(f"{symbol!r} is no chemical element.")
    return _element(found)


def of_labels(labels: Sequence[str], formula: Collection[int] | None) -> list[Element]:
    """The elements of labels, where there are no type symbols.

    Args:
        labels: Of all sites.
        formula: Atomic numbers of the chemical formula; None where it is not known.

    Raises:
        InputError: If a label names no element, or may name two.
    """
    style, others = _style(labels), {_letters(label)[:1] for label in labels}
    if style is None and formula is not None:
        # The way to read them that leaves no element of the formula out.
        for way in _STYLES:
            try:
                found = [_of_label(label, formula, way, others) for label in labels]
            except InputError:
                continue
            if {element.Z for element in found} == set(formula):
                return found
    return [_of_label(label, formula, style, others) for label in labels]


def is_hydrous(symbol: str) -> bool:
    """Whether this is a name for oxygen with hydrogen atoms that are not listed."""
    return symbol.lower().startswith(HYDROUS[0]) or symbol.rstrip("0123456789'").lower() in HYDROUS


def _of_label(
    label: str, formula: Collection[int] | None, style: str | None, others: Collection[str]
) -> Element:
    """The element of one label; `others` are letters that labels begin with: HO1 is hydrogen only
    beside some O1.
    """
    if is_hydrous(label):
        return Element("O")
    letters = _letters(label)
    readings = [r for r in (letters[:2], letters[:1]) if _is_element(r) and r]
    readings = list(dict.fromkeys(readings))
    if not readings:
        raise InputError(
            f"The label {label!r} names no chemical element. Add _atom_site_type_symbol."
        )
    if formula is not None:
        named = [r for r in readings if _element(r).Z in formula]
        readings = named or readings
    if len(readings) == 1 or not letters[:2].isupper():
        return _element(readings[0])
    if style == "Mixed" and letters[1] not in others:
        style = None
    if style is None:
        first, second = (_element(r).symbol for r in readings)
        raise InputError(
            f"The label {label!r} may mean {first} or {second}, and neither a formula nor other "
            "labels tell which. Add _atom_site_type_symbol or _chemical_formula_sum."
        )
    return _element(readings[style == "Mixed"])


def _style(labels: Sequence[str]) -> str | None:
    """How symbols of two letters are written in labels, one of `_STYLES`; None where no label
    tells.
    """
    starts = [_letters(label)[:2] for label in labels]
    if any(len(s) == 2 and s[1].islower() and _is_element(s) for s in starts):
        return "Mixed"
    upper = (s for s in starts if len(s) == 2 and s.isupper() and _is_element(s))
    return "UPPER" if any(not _is_element(s[0]) for s in upper) else None


def _letters(text: str) -> str:
    match = _LETTERS.match(text.strip())
    return "" if match is None else match[0]


def _is_element(letters: str) -> bool:
    return bool(letters) and Element.is_valid_symbol(letters.capitalize())


def _element(letters: str) -> Element:
    return Element(letters.capitalize())
