"""A powder pattern and the crystal that was fitted to it, as one picture."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ase_crysdiff.diffraction.results import Curves, PatternFit
from ase_crysdiff.errors import InputError
from ase_crysdiff.pictures.typography import with_subscripts
from ase_crysdiff.report.figures import axes, standalone

_WIDTH, _HEIGHT = 720.0, 380.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 28.0, 46.0
#: As in the parity plots: told apart with any kind of colour vision.
_MEASURED, _CALCULATED, _DIFFERENCE, _TICKS = "#333333", "#d55e00", "#1f6fb2", "#009e73"
#: Heights as shares of the highest point: of the marks of reflections below 0, and of the air
#: between them and the difference.
_MARK, _AIR = 0.03, 0.03
#: Reflections weaker than this share of the strongest are not marked.
_WEAK = 1e-3


def pattern_figure(fit: PatternFit, title: str | None = None) -> Figure:
    """Measured and calculated pattern, their difference, and marks where reflections lie.

    Args:
        fit: From `fit_pattern` or a ranking.
        title: Above the picture; None names formula and misfit.

    Raises:
        InputError: If the crystal could not be fitted.
    """
    figure = _drawn(fit, title).figure
    assert isinstance(figure, Figure)
    return figure


def pattern_svg(fit: PatternFit, title: str | None = None) -> str:
    """The same as an SVG file that needs nothing else."""
    return standalone(_drawn(fit, title), f"Powder pattern and {_name(fit)}")


def _drawn(fit: PatternFit, title: str | None) -> Axes:
    curves = fit.curves
    if curves is None:
        raise InputError(
            f"There is no fit to draw: {fit.remark} Draw a fit that has curves, such as the first "
            "of a ranking."
        )
    found = axes(_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM)
    x, total = curves.two_theta, curves.calculated + curves.background
    top = float(max(curves.measured.max(), total.max()))
    found.plot(x, curves.measured, ".", color=_MEASURED, markersize=2.2, label="measured")
    found.plot(x, total, color=_CALCULATED, linewidth=1.0, label="calculated")
    found.plot(x, curves.background, "--", color="#888888", linewidth=0.8, label="background")
    _marks(found, curves, top)
    level = -(2 * _AIR + _MARK) * top - float(max(curves.difference.max(), 0.0))
    found.plot(x, curves.difference + level, color=_DIFFERENCE, linewidth=0.8, label="difference")
    bottom = level + float(min(curves.difference.min(), 0.0))
    found.set(
        xlim=(x[0], x[-1]),
        ylim=(bottom - _AIR * top, 1.05 * top),
        xlabel="2θ, degrees",
        ylabel="intensity",
        yticks=[],
        title=_title(fit) if title is None else title,
    )
    found.tick_params(labelcolor="#333333")
    found.grid(axis="x", color="#eeeeee")
    found.set_axisbelow(True)
    found.legend(loc="upper right", frameon=False)
    return found


def _marks(given: Axes, curves: Curves, top: float) -> None:
    angles = curves.reflections[curves.reflections[:, 1] > _WEAK, 0]
    ends = np.full(len(angles), -_AIR * top)
    given.vlines(angles, ends - _MARK * top, ends, color=_TICKS, linewidth=0.8, label="reflections")


def _title(fit: PatternFit) -> str:
    return f"{_name(fit)}, misfit {fit.residual:.2f}"


def _name(fit: PatternFit) -> str:
    group = fit.structure.properties.get("crysdiff_space_group")
    formula = with_subscripts(fit.structure.composition.reduced_formula)
    return formula if group is None else f"{formula} {group}"
