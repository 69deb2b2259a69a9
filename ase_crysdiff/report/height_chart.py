"""Candidates of any number of elements by height above the hull, a row per formula."""

from collections import defaultdict
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from pymatgen.core import Composition

from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.pictures.typography import formula_text, number
from ase_crysdiff.report.figures import axes, mark
from ase_crysdiff.report.hull_marks import (
    INK,
    RULE,
    SOFT,
    HullPicture,
    HullPoint,
    band,
    legend,
    point,
)
from ase_crysdiff.report.hull_names import HIGHEST, counted, high_remark

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _STEP = 640.0, 128.0, 212.0, 26.0, 78.0, 25.0

#: Competing phases that are named in a row.
_PHASES = 3


def height_chart(hull: Hull, points: Sequence[HullPoint], *, limit: int = 24) -> HullPicture | None:
    """Heights of all candidates in a row per formula, the lowest formula first, and beside each
    row what a crystal on the hull there would be made of: the phases that the formula has to
    compete with.

    This is the picture of systems of four elements and more: what a chemist reads off a phase
    diagram, how far each formula is from the hull and against which compounds it stands, needs no
    coordinates of composition. It also serves where a wish spans several systems.

    Args:
        hull: Known compounds.
        points: Candidates.
        limit: Formulas that are shown; the caption says how many are left out.

    Returns:
        The picture; None without candidates.

    Raises:
        InputError: If the hull lacks one of the elements.
    """
    rows: dict[str, list[HullPoint]] = defaultdict(list)
    for candidate in sorted(points, key=lambda p: p.height):
        rows[str(Composition(candidate.formula).reduced_formula)].append(candidate)
    if not rows:
        return None
    shown = dict(list(rows.items())[:limit])
    panel = _panel(len(shown), [p.height for row in shown.values() for p in row])
    kinds = []
    for k, (formula, candidates) in enumerate(shown.items()):
        y = k + 0.5
        (line,) = panel.plot(panel.get_xlim(), (y, y), color=RULE, lw=0.7, zorder=0)
        mark(line, "grid")
        _beside(panel, y, formula_text(formula), (-10.0, 0.0), "phase ours")
        _beside(panel, y, _competitors(hull, formula), (10.0, 1.0), "phase")
        for candidate in reversed(candidates):  # the best above the others
            kinds.append(band(candidate.height))
            place = 1000 * min(candidate.height, HIGHEST)
            point(panel, place, y, kinds[-1], candidate.tip, 4.0)
    left = len(rows) - len(shown)
    notes = [
        f"Left the formula, right the phases of the hull {hull.name!r} that it competes with.",
        f"{left} more formulas are higher and not shown." if left else "",
        high_remark([p for row in shown.values() for p in row]),
    ]
    return HullPicture(
        "Heights above the hull, by formula",
        panel,
        f"Heights above the hull of {counted(points)}, by formula",
        " ".join(filter(None, notes)),
        legend(kinds),
    )


def _panel(rows: int, heights: Sequence[float]) -> Axes:
    """Axes of heights, meV/atom, with lines at round numbers."""
    panel = axes(_WIDTH, _TOP + _STEP * rows + _BOTTOM, _LEFT, _RIGHT, _TOP, _BOTTOM)
    low, high = min(heights), min(HIGHEST, max(*heights, 0.1))
    panel.set_xlim(1000 * min(1.15 * low, -0.01), 1040 * high)
    panel.set_ylim(rows, 0)
    panel.set_yticks([])
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(*panel.get_xlim())
    ticks = [float(t) for t in ticks if panel.get_xlim()[0] <= t <= panel.get_xlim()[1]]
    panel.set_xticks(ticks, [number(t) for t in ticks], color=SOFT)
    panel.tick_params(pad=6)
    for name in panel.get_xticklabels():
        mark(name, "tick")
    (line,) = panel.plot([0, 0], [0, rows], color=INK, lw=1.0, ls="--", zorder=1)
    mark(line, "zero")
    for place, words, align in ((-10, "formula", "right"), (10, "competes with", "left")):
        text = panel.annotate(
            words, (float(place > 0), 1), xycoords="axes fraction", xytext=(place, 9),
            textcoords="offset points", ha=align, fontsize=11, color=SOFT,
        )  # fmt: skip
        mark(text, "tick")
    text = panel.annotate(
        "height above the hull, meV/atom", (0.5, 0), xycoords="axes fraction", xytext=(0, -38),
        textcoords="offset points", ha="center", fontsize=12, color=SOFT,
    )  # fmt: skip
    mark(text, "label")
    return panel


def _competitors(hull: Hull, formula: str) -> str:
    phases = list(hull.phases(formula))
    if phases == [formula]:
        return "itself, known and stable"
    more = f" and {len(phases) - _PHASES} more" if len(phases) > _PHASES else ""
    return " + ".join(map(formula_text, phases[:_PHASES])) + more


def _beside(panel: Axes, y: float, text: str, place: tuple[float, float], kind: str) -> None:
    """Words left (0) or right (1) of the axes, some points away from them."""
    away, side = place
    found = panel.annotate(
        text, (side, y), xycoords=("axes fraction", "data"), xytext=(away, -4),
        textcoords="offset points", ha="right" if side == 0 else "left", fontsize=11, color=INK,
    )  # fmt: skip
    mark(found, kind)
