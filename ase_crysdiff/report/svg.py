"""The few pieces of SVG that the charts are made of. Colours come from the style sheet by class."""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape


def picture(
    width: float, height: float, label: str, parts: Iterable[str], kind: str = "chart"
) -> str:
    """An image that fills the width it is given, with a name for readers that do not see it."""
    body = "".join(parts)
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )


def rect(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> str:
    """A bar; the tip shows under the pointer."""
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}">{title}</rect>'


def text(x: float, y: float, content: str, kind: str = "tick", anchor: str = "middle") -> str:
    """A line of text."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def nice_ticks(top: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to just above `top`."""
    if not top > 0:
        return [0.0, 1.0]
    raw = top / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * (1 - 1e-9))
    return [k * step for k in range(math.ceil(top / step - 1e-9) + 1)]


def number(value: float, digits: int = 3) -> str:
    """A number as people write it; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def axis_label(values: Sequence[float], value: float) -> str:
    """A tick's number with as many digits as its neighbours need."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    if digits == 0 and step % 1:
        digits = 1
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def with_subscripts(symbol: str) -> str:
    """P6_3/mmc with its screw axis set low."""
    return re.sub(r"_(\d)", lambda found: chr(ord("\N{SUBSCRIPT ZERO}") + int(found[1])), symbol)
