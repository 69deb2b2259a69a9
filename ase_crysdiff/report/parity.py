"""Predictions against known values as one picture."""

from collections.abc import Sequence
from math import floor, log10

from ase_crysdiff.report.svg import line, number, picture, text

_SIZE, _LEFT, _BOTTOM, _AIR = 420.0, 56.0, 48.0, 14.0
_STYLE = (
    "<style>text{font:12px "
    "sans-serif;fill:#333}.grid{stroke:#ddd}.equal{stroke:#888;stroke-dasharray:4 3}"
    ".point{fill:#1f6fb2;fill-opacity:.45}svg{background:#fff}</style>"
)


def parity_plot(known: Sequence[float], predicted: Sequence[float], label: str, unit: str) -> str:
    """An SVG file with a point for each crystal and the line where both are equal.

    Args:
        known: Values of a table.
        predicted: What a predictor says, in the same order.
        label: What the values are.
        unit: Of both.
    """
    values = [*known, *predicted]
    low, high = min(values), max(values)
    step = _step(high - low or 1.0)
    first, last = floor(low / step), -floor(-high / step)
    last = max(last, first + 1)
    span = _SIZE - _LEFT - _AIR

    def x(value: float) -> float:
        return _LEFT + span * (value / step - first) / (last - first)

    def y(value: float) -> float:
        return _SIZE - _BOTTOM - (_SIZE - _BOTTOM - _AIR) * (value / step - first) / (last - first)

    parts = [_STYLE]
    bottom, top = first * step, last * step
    for tick in (k * step for k in range(first, last + 1)):
        parts += [
            line(x(tick), y(bottom), x(tick), y(top)),
            line(x(bottom), y(tick), x(top), y(tick)),
        ]
        parts += [
            text(x(tick), _SIZE - _BOTTOM + 16, number(tick)),
            text(_LEFT - 6, y(tick) + 4, number(tick), anchor="end"),
        ]
    parts.append(line(x(bottom), y(bottom), x(top), y(top), "equal"))
    parts += [
        f'<circle class="point" cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.5"/>'
        for a, b in zip(known, predicted, strict=True)
    ]
    parts.append(text((_LEFT + _SIZE) / 2, _SIZE - 8, f"{label} in the table, {unit}", "label"))
    middle = _SIZE / 2
    parts.append(
        '<g transform="rotate(-90 14 '
        f'{middle})">{text(14, middle, f"predicted, {unit}", "label")}</g>'
    )
    return picture(_SIZE, _SIZE, f"{label}: {len(known)} predictions against the table", parts)


def _step(span: float) -> float:
    """A round distance of ticks, about five for the span."""
    power = 10 ** floor(log10(span / 5))
    return float(next(s * power for s in (1, 2, 5, 10) if s * power >= span / 5 * (1 - 1e-9)))
