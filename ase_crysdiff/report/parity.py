"""Predictions against known values as one picture."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ase_crysdiff.report.figures import axes, standalone

_SIZE, _LEFT, _BOTTOM, _AIR = 420.0, 56.0, 48.0, 14.0
#: Colours that are told apart with any kind of colour vision (Wong, Nature Methods 8, 441 (2011)),
#: and shapes beside them.
_COLOURS = "#1f6fb2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
_SHAPES = "o", "s", "^", "D", "v", "P"


def parity_plot(known: Sequence[float], predicted: Sequence[float], label: str, unit: str) -> str:
    """An SVG file with a point for each crystal and the line where both are equal.

    Args:
        known: Values of a table.
        predicted: What a predictor says, in the same order.
        label: What the values are.
        unit: Of both.
    """
    found = _frame([*known, *predicted])
    found.set(xlabel=f"{label} in the table, {unit}", ylabel=f"predicted, {unit}")
    found.plot(
        known, predicted, "o", color=_COLOURS[0], alpha=0.45, markersize=5, markeredgewidth=0
    )
    return standalone(found, f"{label}: {len(known)} predictions against the table")


def parity_plots(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    label: str,
    unit: str,
    source: str,
) -> str:
    """An SVG file with the points of several potentials or predictors and the line where both
    numbers are equal.

    Args:
        series: Known and found values by name, in the same order; at least one point.
        label: What the values are.
        unit: Of both.
        source: Where the known ones come from, such as "data".
    """
    found = _frame([value for pair in series.values() for numbers in pair for value in numbers])
    found.set(xlabel=f"{label} of {source}, {unit}", ylabel=f"found, {unit}")
    for i, (name, (known, values)) in enumerate(series.items()):
        found.plot(
            known,
            values,
            _SHAPES[i % len(_SHAPES)],
            color=_COLOURS[i % len(_COLOURS)],
            alpha=0.5,
            markersize=4,
            markeredgewidth=0,
            label=name,
        )
    found.legend(loc="upper left", frameon=False)
    return standalone(found, f"{label}: {', '.join(series)} against {source}")


def _frame(values: Sequence[float]) -> Axes:
    """Equal axes that hold the values, and their diagonal."""
    found = axes(_SIZE, _SIZE, _LEFT, _AIR, _AIR, _BOTTOM)
    numbers = [float(value) for value in values]
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(min(numbers), max(numbers))
    limits = ticks[0], ticks[-1]
    found.set(xlim=limits, ylim=limits, xticks=ticks, yticks=ticks)
    found.grid(color="#dddddd")
    found.set_axisbelow(True)
    found.tick_params(labelcolor="#333333")
    found.plot(limits, limits, "--", color="#888888", linewidth=1.0)
    return found
