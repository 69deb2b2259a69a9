"""The hull of two elements: formation energies, and heights above the hull below them."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from pymatgen.analysis.phase_diagram import PDPlotter, PhaseDiagram
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
from ase_crysdiff.report.hull_names import (
    HIGHEST,
    Names,
    counted,
    formula_of,
    high_remark,
    known_tip,
    name_candidates,
    reduced,
)

_BELOW = (0.0, -13.0), (11.0, -9.0), (-11.0, -9.0), (0.0, -24.0)
_ABOVE = (0.0, 13.0), (11.0, 9.0), (-11.0, 9.0)


def binary_hull(hull: Hull, diagram: PhaseDiagram, points: Sequence[HullPoint]) -> HullPicture:
    """Formation energies over the composition with the convex hull, and heights above it.

    Args:
        hull: Known compounds.
        diagram: That of the two elements.
        points: Candidates of these elements, the best last, which is drawn above the others.
    """
    first, second = (e.symbol for e in diagram.elements)
    lines, stable, unstable = PDPlotter(diagram).pd_plot_data
    depth = min(y for _, ys in lines for y in ys)
    upper = _formation_panel(depth, [p.height for p in points])
    for xs, ys in sorted((list(xs), list(ys)) for xs, ys in lines):
        (line,) = upper.plot(xs, ys, color=INK, lw=1.4, zorder=1)
        mark(line, "hull")
    names = Names(upper)
    kinds = ["known"]
    for (x, y), entry in sorted(((p, e) for e, p in unstable.items()), key=lambda item: item[0]):
        height = diagram.get_e_above_hull(entry)
        if height <= HIGHEST and upper.get_ylim()[0] <= y <= upper.get_ylim()[1]:
            kinds.append("beside")
            point(upper, x, y, "beside", known_tip(entry, height), 2.0)
    for (x, y), entry in sorted(stable.items()):
        point(upper, x, y, "known", known_tip(entry, 0.0, y))
        names.keep_clear(x, y)
    known = {formula_of(e): place for place, e in sorted(stable.items()) if len(e.composition) > 1}
    for formula, (x, y) in known.items():
        names.add(x, y, formula_text(formula), _BELOW, "phase")
    lower = _height_panel(upper, [p.height for p in points])
    places: dict[str, tuple[float, float]] = {}
    for candidate in points:
        kind = band(candidate.height)
        kinds.append(kind)
        x = Composition(candidate.formula).get_atomic_fraction(second)
        shown = min(candidate.height, HIGHEST)
        on_hull = _formation_energy(hull, candidate.formula)
        point(upper, x, on_hull + shown, kind, candidate.tip, 4.0)
        point(lower, x, 1000 * shown, kind, candidate.tip, 4.0)
        names.keep_clear(x, on_hull + shown, 6.0)
        places.pop(reduced(candidate), None)
        places[reduced(candidate)] = x, on_hull + shown
    name_candidates(names, {f: p for f, p in places.items() if f not in known}, _ABOVE)
    for x, name in ((0.0, first), (1.0, second)):
        _write(lower, x, name, -20.0)
    _write(lower, 0.5, f"share of {second}", -20.0)
    return HullPicture(
        f"Hull of {first}–{second}",
        upper,
        f"Formation energies and convex hull of {first}–{second} with {counted(points)}",
        f"Formation energy and height above the hull {hull.name!r}. {high_remark(points)}".strip(),
        legend(kinds),
    )


def _formation_panel(depth: float, heights: Sequence[float]) -> Axes:
    """Axes of formation energies, eV/atom, with room for names below the deepest one."""
    panel = axes(640.0, 560.0, 62.0, 18.0, 24.0, 250.0)
    top = max([0.05 * -depth, *(min(h, HIGHEST) for h in heights if h > 0)])
    panel.set_ylim(1.16 * min(depth, *heights, -0.02), 1.1 * max(top, 0.02))
    _scale(panel, "formation energy, eV/atom")
    return panel


def _height_panel(upper: Axes, heights: Sequence[float]) -> Axes:
    """Axes of heights below those of formation energies, meV/atom."""
    figure = upper.figure
    panel = figure.add_axes((62 / 640, 86 / 560, 560 / 640, 112 / 560))
    panel.set_frame_on(False)
    panel.tick_params(length=0)
    shown = [1000 * min(h, HIGHEST) for h in heights]
    panel.set_ylim(min([-10.0, *(1.2 * h for h in shown)]), max([110.0, *(1.1 * h for h in shown)]))
    _scale(panel, "height above the hull, meV/atom")
    (line,) = panel.plot([0, 1], [0, 0], color=INK, lw=1.0, ls="--", zorder=1)
    mark(line, "zero")
    return panel


def _scale(panel: Axes, label: str) -> None:
    """Round numbers with lines, and the unit above them."""
    low, high = panel.get_ylim()
    ticks = [t for t in MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
    ticks = [float(t) for t in ticks if low <= t <= high]
    panel.set_xlim(-0.02, 1.02)
    panel.set_xticks([])
    panel.set_yticks(ticks, [number(t) for t in ticks], color=SOFT)
    panel.grid(axis="y", color=RULE, lw=0.7)
    panel.set_axisbelow(True)
    for line, name in zip(panel.get_ygridlines(), panel.get_yticklabels(), strict=True):
        mark(line, "grid")
        mark(name, "tick")
    text = panel.annotate(
        label, (0, 1), xycoords="axes fraction", xytext=(-56, 9), textcoords="offset points",
        fontsize=12, color=SOFT,
    )  # fmt: skip
    mark(text, "label")


def _write(panel: Axes, x: float, text: str, below: float) -> None:
    """A word below the axes."""
    found = panel.annotate(
        text, (x, 0), xycoords=("data", "axes fraction"), xytext=(0, below),
        textcoords="offset points", ha="center", fontsize=12, color=SOFT,
    )  # fmt: skip
    mark(found, "label")


def _formation_energy(hull: Hull, formula: str) -> float:
    """Of the hull at a composition, eV/atom, whatever the scale of its energies."""
    shares = Composition(formula).fractional_composition.get_el_amt_dict()
    return hull.energy(formula) - sum(x * hull.energy(e) for e, x in shares.items())
