"""Numbers as CIF files write them: with standard uncertainties, and with a last digit."""

import math
import re
from dataclasses import dataclass

from ase_crysdiff.crystal.cif.text import Value
from ase_crysdiff.errors import InputError

_NUMBER = re.compile(
    r"(?P<value>[+-]?(?:\d+(?:\.(?P<digits>\d*))?|\.(?P<more>\d+))(?P<power>[eE][+-]?\d+)?)"
    r"(?:\((?P<uncertainty>\d+)\))?"
)
_FRACTION = re.compile(r"([+-]?\d+)\s*/\s*(\d+)")


@dataclass(frozen=True)
class Number:
    """A number of a file.

    Args:
        value: The number.
        unit: What one in the last written digit stands for; 0 for a fraction.
        uncertainty: Standard uncertainty; 0 where none is given.
    """

    value: float
    unit: float = 0.0
    uncertainty: float = 0.0


def number(text: Value, what: str) -> Number:
    """A number such as `0.3523(2)`, `.5` or `1/3`.

    Args:
        text: As it is written.
        what: What it is, for messages.

    Raises:
        InputError: If it is none.
    """
    fraction = _FRACTION.fullmatch(text or "")
    if fraction is not None and int(fraction[2]):
        return Number(int(fraction[1]) / int(fraction[2]))
    match = _NUMBER.fullmatch((text or "").rstrip(","))
    if match is None:
        raise InputError(f"{what} is {'missing' if text is None else repr(text)}, not a number.")
    decimals = len(match["digits"] or match["more"] or "")
    unit = float(f"1{match['power'] or ''}") * 10.0**-decimals
    value = float(match["value"])
    if not math.isfinite(value):
        raise InputError(f"{what} is {text!r}, which is not finite.")
    return Number(value, unit, int(match["uncertainty"] or 0) * unit)


def coordinate(text: Value, what: str) -> Number:
    """A fractional coordinate; thirds and sixths, which no decimals can write, are exact if the
    written digits mean them: at least three, rounded or broken off.
    """
    found = number(text, what)
    sixths = found.value * 6
    near = round(sixths)
    means_it = found.unit <= 1e-3 and abs(sixths - near) / 6 <= 1.01 * found.unit
    return Number(near / 6, found.unit, found.uncertainty) if means_it and near % 3 else found
