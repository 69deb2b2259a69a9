"""Predictions against known values as one picture."""

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from ase_crysdiff.report.figures import axes, standalone

_SIZE, _LEFT, _BOTTOM, _AIR = 420.0, 56.0, 48.0, 14.0


def parity_plot(known: Sequence[float], predicted: Sequence[float], label: str, unit: str) -> str:
    """An SVG file with a point for each crystal and the line where both are equal.

    Args:
        known: Values of a table.
        predicted: What a predictor says, in the same order.
        label: What the values are.
        unit: Of both.
    """
    found = axes(_SIZE, _SIZE, _LEFT, _AIR, _AIR, _BOTTOM)
    values = [float(v) for v in (*known, *predicted)]
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(min(values), max(values))
    limits = ticks[0], ticks[-1]
    found.set(
        xlim=limits,
        ylim=limits,
        xticks=ticks,
        yticks=ticks,
        xlabel=f"{label} in the table, {unit}",
        ylabel=f"predicted, {unit}",
    )
    found.grid(color="#dddddd")
    found.set_axisbelow(True)
    found.tick_params(labelcolor="#333333")
    found.plot(limits, limits, "--", color="#888888", linewidth=1.0)
    found.plot(known, predicted, "o", color="#1f6fb2", alpha=0.45, markersize=5, markeredgewidth=0)
    return standalone(found, f"{label}: {len(known)} predictions against the table")
