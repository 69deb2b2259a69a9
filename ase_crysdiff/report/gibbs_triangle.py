"""The hull of three elements seen from above: stable compounds in the Gibbs triangle, and which of
them are stable together.
"""

import math
from collections.abc import Mapping, Sequence

from pymatgen.analysis.phase_diagram import PDEntry, PDPlotter, PhaseDiagram, triangular_coord
from pymatgen.core import Composition

from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.pictures.typography import formula_text
from ase_crysdiff.report.figures import axes, mark
from ase_crysdiff.report.hull_marks import INK, RULE, HullPicture, HullPoint, band, legend, point
from ase_crysdiff.report.hull_names import (
    Names,
    counted,
    formula_of,
    high_remark,
    known_tip,
    name_candidates,
    reduced,
)

#: Points this close to a side of the triangle, whose sides are 1, lie on it.
_ON_RIM = 1e-6
_AROUND = (
    (9.0, 0.0), (-9.0, 0.0), (8.0, 9.0), (-8.0, 9.0), (0.0, 12.0),
    (0.0, -12.0), (8.0, -9.0), (-8.0, -9.0),
)  # fmt: skip


def gibbs_triangle(hull: Hull, diagram: PhaseDiagram, points: Sequence[HullPoint]) -> HullPicture:
    """The triangle with tie lines, stable compounds and candidates.

    Args:
        hull: Known compounds.
        diagram: That of the three elements.
        points: Candidates of these elements, the best last, which is drawn above the others.
    """
    symbols = [e.symbol for e in diagram.elements]
    lines, found, _ = PDPlotter(diagram).pd_plot_data
    stable = dict(sorted(found.items()))
    panel = axes(640.0, 600.0, 40.0, 40.0, 26.0, 62.0)
    panel.set(xlim=(0, 1), ylim=(0, math.sqrt(3) / 2), aspect="equal")
    panel.set_xticks([])
    panel.set_yticks([])
    for xs, ys in sorted((list(xs), list(ys)) for xs, ys in lines):
        is_rim = _on_rim(xs, ys)
        (line,) = panel.plot(xs, ys, color=INK if is_rim else RULE, lw=1.2 if is_rim else 0.9)
        mark(line, "hull" if is_rim else "tie")
    names = Names(panel)
    for (x, y), entry in stable.items():
        point(panel, x, y, "known", known_tip(entry, 0.0), 2.0)
        names.keep_clear(x, y)
    kinds = ["known"]
    places: dict[str, tuple[float, float]] = {}
    for candidate in points:
        x, y = map(float, triangular_coord(diagram.pd_coords(Composition(candidate.formula))))
        kinds.append(band(candidate.height))
        point(panel, x, y, kinds[-1], candidate.tip, 4.0, 1.25)
        names.keep_clear(x, y, 6.0)
        places.pop(reduced(candidate), None)
        places[reduced(candidate)] = x, y
    _name_corners(names, stable)
    name_candidates(names, places, _AROUND)
    compounds = {formula_of(e): place for place, e in stable.items() if len(e.composition) > 1}
    for formula in sorted(compounds.keys() & places.keys()):
        tip = f"{formula_text(formula)}, known, stable; a candidate, too"
        x, y = compounds[formula]
        point(panel, x, y, "known", tip, 4.5, 0.45)
    named = _name_stable(names, {f: p for f, p in compounds.items() if f not in places})
    total = len(compounds.keys() - places.keys())
    return HullPicture(
        f"Phase diagram of {'–'.join(symbols)}",
        panel,
        f"Gibbs triangle of {', '.join(symbols)} with the tie lines of {len(compounds)} stable "
        f"compounds and {counted(points)}",
        f"Tie lines join compounds that are stable together on the hull {hull.name!r}; {named} of "
        f"{total} other stable compounds have room for their name. {high_remark(points)}".strip(),
        legend(kinds),
    )


def _name_corners(names: Names, stable: Mapping[tuple[float, float], PDEntry]) -> None:
    for (x, y), entry in stable.items():
        if len(entry.composition) == 1:
            names.add(x, y, entry.composition.elements[0].symbol, _outward(x, y), "label")


def _name_stable(names: Names, places: Mapping[str, tuple[float, float]]) -> int:
    """Names compounds of all elements, then the others, the simplest first.

    Returns:
        How many have their name.
    """

    def order(formula: str) -> tuple[int, float, str]:
        composition = Composition(formula)
        return -len(composition), composition.num_atoms, formula

    return sum(
        names.add(*places[f], formula_text(f), _outward(*places[f]), "phase")
        for f in sorted(places, key=order)
    )


def _outward(x: float, y: float) -> list[tuple[float, float]]:
    """Directions for names, those away from the triangle first for points on its rim."""
    slope = math.sqrt(3)
    normals = [
        normal
        for distance, normal in (
            (y, (0.0, -1.0)),
            (y - slope * x, (-slope / 2, 0.5)),
            (y + slope * (x - 1), (slope / 2, 0.5)),
        )
        if abs(distance) < _ON_RIM
    ]
    out = tuple(map(sum, zip(*normals, strict=True))) or (x - 0.5, y - slope / 6)
    return sorted(_AROUND, key=lambda d: -(out[0] * d[0] + out[1] * d[1]) / math.hypot(*d))


def _on_rim(xs: Sequence[float], ys: Sequence[float]) -> bool:
    """Whether a line lies on a side of the triangle."""
    slope, (x0, x1), (y0, y1) = math.sqrt(3), xs, ys
    sides = (
        (y0, y1),
        (y0 - slope * x0, y1 - slope * x1),
        (y0 + slope * (x0 - 1), y1 + slope * (x1 - 1)),
    )
    return any(abs(a) < _ON_RIM and abs(b) < _ON_RIM for a, b in sides)
