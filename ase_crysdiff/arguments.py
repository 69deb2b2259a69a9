"""Numbers that users give, checked."""

import math
import numbers
from typing import Any

from ase_crysdiff.errors import InputError


def positive(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises:
        InputError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    return int(value)


def above_zero(name: str, value: Any, unit: str = "") -> float:
    """A finite number above 0, in a unit that the message names.

    Raises:
        InputError: If it is not.
    """
    if not (_is_finite(value) and value > 0):
        raise InputError(f"{name} must be a finite number above 0{_in(unit)}, got {value!r}.")
    return float(value)


def not_negative(name: str, value: Any, unit: str = "") -> float:
    """A finite number of at least 0, in a unit that the message names.

    Raises:
        InputError: If it is not.
    """
    if not (_is_finite(value) and value >= 0):
        raise InputError(f"{name} must be a finite number of at least 0{_in(unit)}, got {value!r}.")
    return float(value)


def finite(name: str, value: Any, unit: str = "") -> float:
    """A finite number, in a unit that the message names.

    Raises:
        InputError: If it is not.
    """
    if not _is_finite(value):
        raise InputError(f"{name} must be a finite number{_in(unit)}, got {value!r}.")
    return float(value)


def _in(unit: str) -> str:
    return f", in {unit}" if unit else ""


def _is_finite(value: Any) -> bool:
    return type(value) is not bool and isinstance(value, numbers.Real) and math.isfinite(value)


def strength(value: Any) -> float:
    """The time to which a seed is noised.

    Raises:
        InputError: If it is not above 0 and at most 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InputError(
            "strength must be above 0 (the structure itself) and at most 1 (no trace of it), got "
            f"{value!r}."
        )
    return float(value)


def symprec(value: Any) -> float | None:
    """A tolerance of symmetry in Å, or None.

    Raises:
        InputError: If it is not a number above 0 and at most 1 Å.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InputError(
            f"symprec must be a distance above 0 and at most 1 Å, or None, got {value!r}. 0.1 is "
            "usual."
        )
    return float(value)
