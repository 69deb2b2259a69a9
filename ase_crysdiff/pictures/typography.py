"""How numbers, formulas and symbols are written for people."""

import math
import re
from html import escape

_LOW = str.maketrans("0123456789.", "₀₁₂₃₄₅₆₇₈₉.")


def number(value: float | None, digits: int = 3) -> str:
    """A number as people write it; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def with_subscripts(symbol: str) -> str:
    """P6_3/mmc with its screw axis set low."""
    return re.sub(r"_(\d)", lambda found: found[1].translate(_LOW), symbol)


def formula_text(formula: str) -> str:
    """NaCl2 with its 2 set low, by letters of Unicode, for pictures."""
    return re.sub(r"\d+(?:\.\d+)?", lambda found: found[0].translate(_LOW), formula)


def formula_html(formula: str) -> str:
    """NaCl2 with its 2 set low, by tags; the rest is escaped."""
    return re.sub(r"(\d+(?:\.\d+)?)", r"<sub>\1</sub>", escape(formula))
