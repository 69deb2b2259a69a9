"""Histograms as SVG for the page."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D, Transform, blended_transform_factory

from ase_crysdiff.pictures.typography import number, with_subscripts
from ase_crysdiff.report.figures import axes, inline, mark
from ase_crysdiff.report.labels import OTHERS

_WIDTH, _HEIGHT = 420.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 14.0, 44.0
#: Margins, height and step of charts whose bars lie one below the other, pixels.
_NAMES, _SHARES, _STEP, _BAR = 108.0, 44.0, 24.0, 8.0
#: Heights above the hull are shown in this window, eV/atom; what lies outside is in the outermost
#: bars.
_LOWEST, _HIGHEST, _BIN = -0.3, 1.0, 0.05
#: Share of the width of a class that stays empty.
_AIR = 0.14
#: At most so many classes have their name below them.
_NAMED = 12


def energy_histogram(energies: Sequence[float]) -> str:
    """Counts of crystals by energy above the hull, coloured by stability.

    Args:
        energies: eV/atom.
    """
    bins = round((_HIGHEST - _LOWEST) / _BIN)
    edges = [round(_LOWEST + k * _BIN, 9) for k in range(bins + 1)]
    # A value on an edge belongs below it, so that the thresholds 0 and 0.1 divide the colours
    # exactly.
    counts = [0] * bins
    for energy in energies:
        k = next((k for k in range(bins) if energy <= edges[k + 1] + 1e-9), bins - 1)
        counts[k] += 1
    found = _columns(bins, float(max(counts)))
    for k, count in enumerate(counts):
        upper = edges[k + 1]
        kind = "stable" if upper <= 0 else "metastable" if upper <= 0.1 else "unstable"
        low, high = number(edges[k]), number(upper)
        where = (
            f"{low} or below" if k == 0 else f"above {low}" if k == bins - 1 else f"{low} to {high}"
        )
        _bar(found, k, float(count), kind, f"{count} crystals, {where} eV/atom")
    for value in (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8):
        shown = f"{value:g}".replace("-", "\N{MINUS SIGN}")
        _name(found, (value - _LOWEST) / _BIN, shown)
    _name(found, float(bins), "≥ 1", "right")
    zero = -_LOWEST / _BIN
    (line,) = found.plot([zero, zero], found.get_ylim())
    mark(line, "zero")
    _label(found, "energy above hull, eV/atom")
    return inline(found, f"Histogram of the energy above hull of {len(energies)} crystals")


def compared_columns(ours: Mapping[str, int], theirs: Mapping[str, int], label: str) -> str:
    """Two distributions over numbers, side by side, each as shares of its own total.

    Args:
        ours: Counts by class, in the order to be shown.
        theirs: Counts of the reference by class; may be empty.
        label: What the classes are.
    """
    shares = _shares(ours, theirs)
    found = _columns(len(ours), max((max(pair) for pair in shares), default=1.0), "%")
    for k, (name, (own, other)) in enumerate(zip(ours, shares, strict=True)):
        if theirs:
            tip = f"{label} {name}: {other:.1f} % of the reference"
            _bar(found, k, other, "reference", tip, 0.5, 0.5)
        tip = f"{label} {name}: {ours[name]} crystals, {own:.1f} %"
        _bar(found, k, own, "ours", tip, 0.0, 0.5 if theirs else 1.0)
    every = max(1, -(-len(ours) // _NAMED))
    for k, name in enumerate(ours):
        if k % every == 0:
            _name(found, k + 0.5, name)
    _label(found, label)
    return inline(found, f"Shares by {label}, evaluated crystals beside the reference")


def compared_rows(ours: Mapping[str, int], theirs: Mapping[str, int], label: str) -> str:
    """Two distributions over names, which need their room: one below the other, each as shares of
    its own total.

    A last class `OTHERS` counts in the totals and is not drawn: it would dwarf the rest.

    Args:
        ours: Counts by class, in the order to be shown.
        theirs: Counts of the reference by class; may be empty.
        label: What the classes are.
    """
    shares = {
        name: pair for name, pair in zip(ours, _shares(ours, theirs), strict=True) if name != OTHERS
    }
    height = 4.0 + _STEP * max(1, len(shares))
    found = axes(_WIDTH, height, _NAMES, _SHARES, 0.0, 0.0)
    found.axis("off")
    found.set_xlim(0, max((max(pair) for pair in shares.values()), default=0) or 1)
    found.set_ylim(height, 0)
    right = _WIDTH - _NAMES - 2
    for k, (name, (own, other)) in enumerate(shares.items()):
        y = 4.0 + k * _STEP
        text = found.text(-8, y + 13, with_subscripts(name), ha="right", transform=_pixels(found))
        mark(text, "tick")
        (bar,) = found.barh(y + 2, own, _BAR, align="edge")
        mark(bar, "ours", f"{name}: {ours[name]} crystals, {own:.1f} %")
        if theirs:
            (bar,) = found.barh(y + 11, other, _BAR, align="edge")
            mark(bar, "reference", f"{name}: {other:.1f} % of the reference")
        text = found.text(right, y + 13, f"{own:.0f}%", ha="right", transform=_pixels(found))
        mark(text, "tick")
    return inline(found, f"Shares by {label}, evaluated crystals beside the reference")


def _pixels(given: Axes) -> Transform:
    """Coordinates whose x counts pixels from the left end of the axes and whose y is the data's."""
    start = given.get_position().x0 * _WIDTH
    return blended_transform_factory(Affine2D().translate(start, 0), given.transData)


def _shares(ours: Mapping[str, int], theirs: Mapping[str, int]) -> list[tuple[float, float]]:
    """Percent of the crystals and of the reference, class by class."""
    total, known = sum(ours.values()) or 1, sum(theirs.values()) or 1
    return [
        (100 * count / total, 100 * theirs.get(name, 0) / known) for name, count in ours.items()
    ]


def _columns(classes: int, highest: float, unit: str = "") -> Axes:
    """Axes for classes that stand side by side, with horizontal lines at round numbers.

    Args:
        classes: How many.
        highest: Of the values.
        unit: Of the numbers beside the lines.
    """
    found = axes(_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM)
    locator = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=not unit, min_n_ticks=2)
    ticks = [float(t) for t in locator.tick_values(0.0, highest or 1.0)]
    found.set_xlim(0, max(1, classes))
    found.set_ylim(0, ticks[-1])
    found.set_xticks([])
    found.tick_params(pad=6)
    digits = 0 if all(t == round(t) for t in ticks) else 1
    found.set_yticks(ticks, [f"{t:.{digits}f}{unit}" for t in ticks])
    found.grid(axis="y")
    found.set_axisbelow(True)
    for line, name in zip(found.get_ygridlines(), found.get_yticklabels(), strict=True):
        mark(line, "grid")
        mark(name, "tick")
    return found


def _bar(
    given: Axes,
    position: int,
    value: float,
    kind: str,
    tip: str,
    start: float = 0.0,
    share: float = 1.0,
) -> None:
    """A bar that takes a share of its class from `start`, with a little air around the class."""
    inner = 1 - _AIR
    left = position + _AIR / 2 + start * inner
    (bar,) = given.bar(left, value, share * inner, align="edge")
    mark(bar, kind, tip)


def _name(given: Axes, position: float, name: str, align: str = "center") -> None:
    """The name of a class below the axis."""
    text = given.annotate(
        name,
        (position, 0),
        xytext=(0, -18),
        textcoords="offset points",
        ha=align,
    )
    mark(text, "tick")


def _label(given: Axes, label: str) -> None:
    """What the classes are, below their names."""
    text = given.annotate(
        label,
        (0.5, 0),
        xycoords="axes fraction",
        xytext=(0, -38),
        textcoords="offset points",
        ha="center",
    )
    mark(text, "label")
