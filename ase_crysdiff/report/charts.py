"""Histograms as inline SVG, and the tables that say the same."""

from collections.abc import Mapping, Sequence
from html import escape

from ase_crysdiff.report.svg import (
    axis_label,
    line,
    nice_ticks,
    number,
    picture,
    rect,
    text,
    with_subscripts,
)

_WIDTH, _HEIGHT = 420.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 14.0, 44.0
#: Name of the class of all that have no class of their own.
OTHERS = "others"
#: Heights above the hull are shown in this window, eV/atom; what lies outside is in the outermost
#: bars.
_LOWEST, _HIGHEST, _BIN = -0.3, 1.0, 0.05


def energy_histogram(energies: Sequence[float]) -> str:
    """Counts of crystals by energy above the hull, eV/atom, coloured by stability."""
    bins = round((_HIGHEST - _LOWEST) / _BIN)
    edges = [_LOWEST + k * _BIN for k in range(bins + 1)]
    # A value on an edge belongs below it, so that the thresholds 0 and 0.1 divide the colours
    # exactly.
    counts = [0] * bins
    for energy in energies:
        k = next((k for k in range(bins) if energy <= edges[k + 1] + 1e-9), bins - 1)
        counts[k] += 1
    ticks = nice_ticks(float(max(counts)))
    scale = _Axes(bins, ticks[-1])
    parts = scale.grid(ticks)
    for k, count in enumerate(counts):
        kind = (
            "stable"
            if edges[k + 1] <= 1e-9
            else "metastable"
            if edges[k + 1] <= 0.1 + 1e-9
            else "unstable"
        )
        low, high = (
            number(edges[k] if abs(edges[k]) > 1e-9 else 0),
            number(edges[k + 1] if abs(edges[k + 1]) > 1e-9 else 0),
        )
        where = (
            f"{low} or below" if k == 0 else f"above {low}" if k == bins - 1 else f"{low} to {high}"
        )
        parts.append(scale.bar(k, count, kind, f"{count} crystals, {where} eV/atom"))
    for value in (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8):
        parts.append(
            text(
                scale.x((value - _LOWEST) / _BIN),
                _HEIGHT - 26,
                f"{value:g}".replace("-", "\N{MINUS SIGN}"),
            )
        )
    parts.append(text(scale.x(bins), _HEIGHT - 26, "≥ 1", anchor="end"))
    parts.append(text((_LEFT + _WIDTH) / 2, _HEIGHT - 6, "energy above hull, eV/atom", "label"))
    parts.append(
        line(scale.x(-_LOWEST / _BIN), _TOP, scale.x(-_LOWEST / _BIN), _HEIGHT - _BOTTOM, "zero")
    )
    return picture(
        _WIDTH, _HEIGHT, f"Histogram of the energy above hull of {len(energies)} crystals", parts
    )


def compared_columns(ours: Mapping[str, int], theirs: Mapping[str, int], label: str) -> str:
    """Two distributions over numbers, side by side, each as shares of its own total.

    Args:
        ours: Counts by class, in the order to be shown.
        theirs: The same classes of the reference; may be empty.
        label: What the classes are.
    """
    shares = _shares(ours, theirs)
    ticks = nice_ticks(max((max(pair) for pair in shares), default=1))
    scale = _Axes(len(ours), ticks[-1])
    parts = scale.grid(ticks, "%")
    for k, (name, (own, other)) in enumerate(zip(ours, shares, strict=True)):
        if theirs:
            parts.append(
                scale.bar(
                    k,
                    other,
                    "reference",
                    f"{label} {name}: {other:.1f} % of the reference",
                    0.5,
                    0.5,
                )
            )
        parts.append(
            scale.bar(
                k,
                own,
                "ours",
                f"{label} {name}: {ours[name]} crystals, {own:.1f} %",
                0.0,
                0.5 if theirs else 1.0,
            )
        )
    every = max(1, -(-len(ours) // 12))
    parts += [
        text(scale.x(k + 0.5), _HEIGHT - 26, name) for k, name in enumerate(ours) if k % every == 0
    ]
    parts.append(text((_LEFT + _WIDTH) / 2, _HEIGHT - 6, label, "label"))
    return picture(
        _WIDTH, _HEIGHT, f"Shares by {label}, evaluated crystals beside the reference", parts
    )


def compared_rows(ours: Mapping[str, int], theirs: Mapping[str, int], label: str) -> str:
    """The same over names, which need their room: one below the other. Arguments as in
    `compared_columns`.

    A last class `OTHERS` counts in the totals and is not drawn: it would dwarf the rest.
    """
    left, right, step, top = 108.0, 44.0, 24.0, 4.0
    shares = {
        name: pair for name, pair in zip(ours, _shares(ours, theirs), strict=True) if name != OTHERS
    }
    scale = (_WIDTH - left - right) / max((max(pair) for pair in shares.values()), default=1)
    parts = []
    for k, (name, (own, other)) in enumerate(shares.items()):
        y = top + k * step
        parts.append(text(left - 8, y + 13, with_subscripts(name), anchor="end"))
        parts.append(
            rect(left, y + 2, own * scale, 8, "ours", f"{name}: {ours[name]} crystals, {own:.1f} %")
        )
        if theirs:
            parts.append(
                rect(
                    left,
                    y + 11,
                    other * scale,
                    8,
                    "reference",
                    f"{name}: {other:.1f} % of the reference",
                )
            )
        parts.append(text(_WIDTH - 2, y + 13, f"{own:.0f}%", anchor="end"))
    height = top + step * len(shares)
    return picture(
        _WIDTH, height, f"Shares by {label}, evaluated crystals beside the reference", parts
    )


def _shares(ours: Mapping[str, int], theirs: Mapping[str, int]) -> list[tuple[float, float]]:
    """Percent of the crystals and of the reference, class by class."""
    total, known = sum(ours.values()) or 1, sum(theirs.values()) or 1
    return [
        (100 * count / total, 100 * theirs.get(name, 0) / known) for name, count in ours.items()
    ]


def compared_table(ours: Mapping[str, int], theirs: Mapping[str, int], label: str) -> str:
    """The numbers of `compared_bars`."""
    head = (
        ["<th scope='col'>crystals</th>", "<th scope='col'>reference</th>"]
        if theirs
        else ["<th scope='col'>crystals</th>"]
    )
    rows = []
    for name, count in ours.items():
        other = f"<td>{theirs.get(name, 0)}</td>" if theirs else ""
        rows.append(f"<tr><th scope='row'>{escape(name)}</th><td>{count}</td>{other}</tr>")
    return (
        "<details><summary>Numbers</summary><table class='small'><thead><tr><th "
        f"scope='col'>{escape(label)}</th>{''.join(head)}"
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></details>"
    )


class _Axes:
    """Maps classes and heights to the picture.

    Args:
        classes: How many stand side by side.
        top: Height of the axis.
    """

    def __init__(self, classes: int, top: float) -> None:
        self.classes, self.top = max(1, classes), top

    def x(self, position: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * position / self.classes

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.top

    def grid(self, ticks: Sequence[float], unit: str = "") -> list[str]:
        parts = []
        for tick in ticks:
            parts.append(line(_LEFT, self.y(tick), _WIDTH - _RIGHT, self.y(tick)))
            parts.append(
                text(_LEFT - 6, self.y(tick) + 4, axis_label(ticks, tick) + unit, anchor="end")
            )
        return parts

    def bar(
        self,
        position: int,
        value: float,
        kind: str,
        tip: str,
        start: float = 0.0,
        share: float = 1.0,
    ) -> str:
        """A bar that takes a share of its class from `start`, with a little air around the
        class.
        """
        width = self.x(1) - self.x(0)
        air = 0.14 * width
        inner = width - air
        left = self.x(position) + air / 2 + start * inner
        return rect(left, self.y(value), share * inner, self.y(0) - self.y(value), kind, tip)
