"""Formulas as people write them: subscripts, points between parts, amounts in front."""

import re
from collections import Counter

from pymatgen.core import Composition

from ase_crysdiff.errors import InputError

_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_POINTS = "·•⋅∙*"
#: A point before water, or before a letter or bracket, separates parts; else it is a decimal one.
_POINT = re.compile(r"\.(?=\s*(?:\d*\s*[HD]2O\b|[A-Z(\[]))")
_ZERO = re.compile(r"[A-Z][a-z]?0+(?:\.0*)?(?![\d.])")


def read_formula(text: str) -> Composition:
    """A formula such as `SrTiO3`, `SrTiO₃`, `CuSO4·5H2O`, `CuSO4.5H2O`, `3CaO·Al2O3`.

    Raises:
        InputError: If it cannot be read, or an amount is zero.
    """
    plain = _POINT.sub("·", text.translate(_SUBSCRIPTS))
    zero = _ZERO.search(plain)
    if zero is not None:
        raise InputError(f"{text!r} has an amount of zero ({zero[0]}). Leave that element out.")
    amounts: Counter[str] = Counter()
    try:
        for part in re.split(f"[{_POINTS}]", plain):
            count, formula = re.fullmatch(r"\s*(\d*)(.*)", part).groups()  # type: ignore[union-attr]
            for species, amount in Composition(formula).items():
                amounts[species] += amount * int(count or 1)
        return Composition(amounts)
    except Exception as error:
        raise InputError(
            f"{text!r} cannot be read as a composition ({error}). Write, for example, 'SrTiO3', "
            "without charges."
        ) from error


def whole_multiple(composition: Composition, most: int = 24) -> str | None:
    """The smallest multiple with whole amounts, as a formula; None if there is none up to `most`.

    Args:
        composition: With decimal amounts.
        most: The largest factor.
    """
    for factor in range(2, most + 1):
        amounts = {s: factor * n for s, n in composition.get_el_amt_dict().items()}
        if all(abs(n - round(n)) < 1e-3 * factor for n in amounts.values()):
            return "".join(f"{s}{round(n) if round(n) > 1 else ''}" for s, n in amounts.items())
    return None
