"""Pictures of hulls show the right compounds at the right places, and the same every time."""

import os
import re
import subprocess
import sys

import pytest
from pymatgen.analysis.phase_diagram import triangular_coord

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.sources import open_hull
from ase_crysdiff.report.height_chart import height_chart
from ase_crysdiff.report.hull_marks import HullPoint, band
from ase_crysdiff.report.phase_diagrams import hull_pictures, phase_diagram

ELEMENTS = {e: 0.0 for e in ("Li", "Fe", "P", "O")}
COMPOUNDS = {
    **ELEMENTS,
    "Li2O": -2.0,
    "Li2O2": -1.6,
    "LiO3": -0.7,  # 0.1 above the line from Li2O2 to O
    "Fe2O3": -1.7,
    "LiFeO2": -2.0,
    "P2O5": -2.1,
    "Li3PO4": -2.6,
}
HULL = Hull(COMPOUNDS, name="toy <hull>")
MINUS = "\N{MINUS SIGN}"


def tips(svg: str) -> dict[str, list[str]]:
    """Words under the pointer by class."""
    found: dict[str, list[str]] = {}
    for kind, tip in re.findall(r'<path class="mark (\w+)"[^>]*><title>([^<]*)</title>', svg):
        found.setdefault(kind, []).append(tip)
    return found


def words(svg: str, kind: str) -> set[str]:
    return set(re.findall(rf'<text class="{kind}"[^>]*>([^<]*)</text>', svg))


def test_two_elements_show_hull_and_heights():
    points = [HullPoint("LiO2", 0.06, "2"), HullPoint("Li2O", -0.01, "1"), HullPoint("Li3O", 0.5)]
    picture = phase_diagram(HULL, ["O", "Li"], points)
    svg = picture.svg()
    found = tips(svg)
    assert len(found["known"]) == 4
    assert f"Li₂O, known, stable, formation energy {MINUS}2 eV/atom" in found["known"]
    (beside,) = found["beside"]
    assert beside == "LiO₃, known, 100 meV/atom above the hull"
    # Every candidate has a mark in each of the two panels.
    assert found["band0"] == [f"1 Li₂O: {MINUS}10 meV/atom above the hull"] * 2
    assert found["band2"] == ["2 LiO₂: 60 meV/atom above the hull"] * 2
    assert len(found["band3"]) == 2
    assert words(svg, "phase") == {"Li₂O", "Li₂O₂"}
    assert words(svg, "phase ours") == {"LiO₂", "Li₃O"}
    assert "1 candidate lies higher" in picture.caption
    assert set(picture.legend) == {"known", "beside", "band0", "band2", "band3"}
    assert svg.count('class="hull"') == 3


def test_a_candidate_stands_at_its_height_above_the_hull():
    exact = phase_diagram(HULL, {"Li", "O"}, [HullPoint("LiO", 0.0)])
    axes = exact.figure.axes[0]
    (known,) = [p for p in axes.patches if "Li₂O₂, known" in (p.get_gid() or "")]
    (mine,) = [p for p in axes.patches if "LiO: 0" in (p.get_gid() or "")]
    exact.figure.canvas.draw()
    one, other = (p.get_transform().transform((0, 0)) for p in (known, mine))
    assert other == pytest.approx(one, abs=1e-6)


def test_three_elements_are_a_triangle():
    points = [HullPoint("LiFeO2", 0.02, "1"), HullPoint("Li5FeO4", 0.08, "2", is_exact=False)]
    picture = phase_diagram(HULL, {"Li", "Fe", "O"}, points)
    svg = picture.svg()
    found = tips(svg)
    assert words(svg, "label") == {"Li", "Fe", "O"}
    # LiFeO2 is known and a candidate: named once, as a candidate, with a dot on its mark.
    assert "LiFeO₂" in words(svg, "phase ours")
    assert words(svg, "phase") == {"Li₂O", "Li₂O₂", "Fe₂O₃"}
    assert "LiFeO₂, known, stable; a candidate, too" in found["known"]
    assert found["band2"] == ["2 Li₅FeO₄: 80 meV/atom above the hull or more"]
    assert "3 of 3 other stable compounds" in picture.caption
    # Each side of the triangle is the rim, cut at its compounds: Li-O has three pieces.
    assert svg.count('class="hull"') == 3 + 2 + 1
    diagram = HULL.diagram(frozenset({"Li", "Fe", "O"}))
    assert svg.count('class="tie"') == _inner_edges(diagram)


def _inner_edges(diagram) -> int:
    """Edges of facets that are not on a side of the triangle, counted from the facets."""
    places = [triangular_coord(diagram.pd_coords(e.composition)) for e in diagram.qhull_entries]
    sides = [[0, 1, 0], [3**0.5, -1, 0], [3**0.5, 1, -(3**0.5)]]

    def is_rim(edge) -> bool:
        return any(
            all(abs(a * places[k][0] + b * places[k][1] + c) < 1e-6 for k in edge)
            for a, b, c in sides
        )

    edges = {
        tuple(sorted((f[i], f[j]))) for f in diagram.facets for i, j in ((0, 1), (0, 2), (1, 2))
    }
    return sum(not is_rim(edge) for edge in edges)


def test_other_numbers_of_elements_have_no_phase_diagram():
    assert phase_diagram(HULL, {"Li"}) is None
    assert phase_diagram(HULL, ELEMENTS) is None
    assert hull_pictures(HULL, {"Li"}, [HullPoint("Li", 0.1)]) == []
    assert hull_pictures(HULL, ELEMENTS) == []
    titles = [p.title for p in hull_pictures(HULL, ELEMENTS, [HullPoint("LiFePO4", 0.1)])]
    assert titles == ["Heights above the hull, by formula"]
    with pytest.raises(InputError, match="Cs"):
        phase_diagram(HULL, {"Cs", "O"})


def test_candidates_of_other_elements_are_left_out_of_a_diagram():
    picture = phase_diagram(HULL, {"Li", "O"}, [HullPoint("FeO", 0.0), HullPoint("LiO2", 0.01)])
    assert "with 1 candidate" in picture.label


def test_heights_by_formula_name_the_competitors():
    points = [
        HullPoint("LiFePO4", 0.04, "2"),
        HullPoint("Li3PO4", 0.3001, "4"),
        HullPoint("LiFePO4", -0.002, "1"),
        HullPoint("Li2O", 0.05, "3"),
    ]
    picture = height_chart(HULL, points)
    svg = picture.svg()
    assert re.findall(r'class="phase ours"[^>]*>([^<]*)<', svg) == ["LiFePO₄", "Li₂O", "Li₃PO₄"]
    competitors = re.findall(r'class="phase"[^>]*>([^<]*)<', svg)
    assert competitors[1:] == ["itself, known and stable"] * 2
    assert competitors[0] == "Li₃PO₄ + P₂O₅ + Fe₂O₃ and 1 more"
    assert "1 candidate lies higher than 0.3 eV/atom" in picture.caption
    assert height_chart(HULL, []) is None
    short = height_chart(HULL, points, limit=1)
    assert "2 more formulas are higher and not shown" in short.caption
    assert len(tips(short.svg())["band0"]) == 1


def test_phases_make_up_the_composition_and_its_energy():
    phases = HULL.phases("LiFePO4")
    assert sum(phases.values()) == pytest.approx(1.0)
    assert sum(share * HULL.energy(f) for f, share in phases.items()) == pytest.approx(
        HULL.energy("LiFePO4")
    )
    assert HULL.phases("Li4O2") == {"Li2O": pytest.approx(1.0)}
    assert list(phases.values()) == sorted(phases.values(), reverse=True)


def test_bands_end_at_their_limits():
    heights = (-0.2, 0.0, 0.001, 0.025, 0.026, 0.1, 0.2)
    assert [int(band(h)[-1]) for h in heights] == [0, 0, 1, 1, 2, 2, 3]


def test_pictures_are_the_same_whatever_the_order_of_sets():
    code = (
        "from ase_crysdiff.metrics.hull import Hull\n"
        "from ase_crysdiff.report.hull_marks import HullPoint\n"
        "from ase_crysdiff.report.phase_diagrams import hull_pictures\n"
        "import hashlib\n"
        f"hull = Hull({COMPOUNDS!r})\n"
        "points = [HullPoint('LiFeO2', 0.0), HullPoint('Li2O', 0.05), HullPoint('LiO2', 0.2)]\n"
        "for s in ('Li-Fe-O', 'Li-O'):\n"
        "    svg = ''.join(p.svg() for p in hull_pictures(hull, s.split('-'), points))\n"
        "    print(hashlib.sha256(svg.encode()).hexdigest())\n"
    )
    found = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_no_name_covers_a_name_or_a_mark():
    picture = phase_diagram(open_hull(), {"Li", "Mn", "O"}, [HullPoint("LiMnO2", 0.01)])
    figure = picture.figure
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = [t.get_window_extent() for t in axes.texts]
    assert len(boxes) > 15
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            wide = min(one.x1, other.x1) - max(one.x0, other.x0)
            high = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert wide < 3 or high < 3  # widths of letters are estimated
