"""The page: complete, self-contained, well-formed, and careful with what it is given."""

from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from ase.data import chemical_symbols

from ase_crysdiff.pictures.crystals import drawing
from ase_crysdiff.pictures.typography import number
from ase_crysdiff.report.charts import compared_columns, compared_rows, energy_histogram
from ase_crysdiff.report.elements import periodic_table, place
from ase_crysdiff.report.page import html_report
from ase_crysdiff.report.parity import parity_plot, parity_plots
from ase_crysdiff.testing.crystals import prototypes

VOID = {"meta", "rect", "line", "circle", "path", "br", "i"}


class Checker(HTMLParser):
    """Every element that opens closes, in order; nothing is loaded from anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        assert "src" not in names
        assert "href" not in names
        self.seen.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


def example(**changes):
    metric = {"value": 0.5, "interval": [0.3, 0.7], "failures": 1, "settings": {"ltol": 0.2}}
    unknown = {"value": None, "interval": [None, None], "failures": 2, "settings": {}}
    crystals = [
        {
            "index": i,
            "name": f"<{name}>",
            "formula": s.composition.reduced_formula,
            "space_group": "P1",
            "energy_above_hull": -0.01 * i,
            "is_listed": bool(i % 2),
            "novel": True,
            "unique": True,
            "structure": s.as_dict(),
        }
        for i, (name, s) in enumerate(prototypes().items())
    ]
    results = {
        "requested": 4,
        "sources": ["in & out"],
        "notes": ["An open, partial hull."],
        "funnel": [
            {"stage": "Requested", "meaning": "all", "count": 4},
            {"stage": "Read", "meaning": "<parse>", "count": 3},
        ],
        "metrics": {
            "uniqueness": metric,
            "uniqueness_relaxed": metric,
            "sun": metric,
            "density_distance": unknown,
            "odd": metric,
        },
        "breakdown": {
            "Crystal <system>": [
                {
                    "group": "cubic & all",
                    "crystals": 4,
                    "metastable": 3,
                    "stable": 1,
                    "msun": None,
                    "sun": None,
                },
            ]
        },
        "energies_above_hull": [0.0, 0.1, 0.100001, -0.7, 5.0, None],
        "distributions": {
            "num_atoms": {"ours": {"1": 2, "2": 1}, "reference": {"1": 5}, "note": "n"}
        },
        "elements": {"Na": 2, "Cl": 1, "U": 1},
        "best": crystals,
        "lost": [{"index": 3, "name": "bad", "stage": "read", "reason": "<b>12.5</b> is wrong"}],
        "settings": {"potential": "toy", "fmax": 0.05},
        "hull": {"name": "h", "entries": 3},
        "reference": {"name": "known", "crystals": 7},
        "versions": {"numpy": "1"},
    }
    return {**results, **changes}


def test_page_is_well_formed_and_complete():
    page = html_report(example())
    found = checked(page)
    text = " ".join(found.text)
    wanted = [
        "An open, partial hull.",
        "in & out",
        "<b>12.5</b> is wrong",
        "<parse>",
        "<Cu>",
        "S.U.N.",
        "odd",
    ]
    for expected in [*wanted, "Crystal <system>", "cubic & all", "75.0 % "]:
        assert expected in text
    assert found.seen.count("h1") == 1
    assert {"script", "link", "img", "iframe"}.isdisjoint(found.seen)
    assert found.seen.count("figure") == len(prototypes())
    assert len(page) < 200_000


def test_far_below_a_partial_hull_is_doubted():
    best = example()["best"]
    for energy, is_listed, doubted in (
        (-0.5, False, True),
        (-0.5, True, False),
        (-0.1, False, False),
        (None, False, False),
    ):
        page = html_report(
            example(best=[{**best[0], "energy_above_hull": energy, "is_listed": is_listed}])
        )
        assert ("lacks competitors" in page) == doubted


def test_page_of_nothing():
    page = html_report(
        example(
            energies_above_hull=[None],
            best=[],
            lost=[],
            elements={},
            hull={},
            metrics={},
            notes=[],
            distributions={},
            breakdown={},
        )
    )
    checked(page)


def test_thresholds_divide_the_colours_exactly():
    svg = energy_histogram([0.0, 0.05, 0.1, 0.1000001, 2.0, -3.0])
    checked(svg)
    tips = [
        part for part in svg.split("<path ")[1:] if "crystals, " in part and ">0 crys" not in part
    ]
    kinds = [part.split('"')[1] for part in tips]
    assert kinds == ["stable", "stable", "metastable", "metastable", "unstable", "unstable"]


@pytest.mark.parametrize("draw", [compared_columns, compared_rows])
def test_shares_are_of_each_total(draw):
    svg = draw({"1": 1, "2": 3}, {"1": 10, "2": 10, "3": 20}, "atoms")
    assert "1 crystals, 25.0 %" in svg
    assert "25.0 % of the reference" in svg


def test_every_element_has_a_place_of_its_own():
    places = [place(z) for z in range(1, 104)]
    assert len(set(places)) == 103
    assert place(1) == (0, 0)
    assert place(2) == (17, 0)
    assert place(5) == (12, 1)
    assert place(26) == (7, 3)
    assert place(57) == (2, 7.4)
    assert place(72) == (3, 5)
    svg = periodic_table({"Fe": 4, "O": 1})
    assert all(f">{s}</text>" in svg for s in chemical_symbols[1:104])
    assert 'class="el l9"' in svg


@pytest.mark.parametrize("name", list(prototypes()))
def test_drawings_stay_in_the_frame(name):
    import re

    svg = drawing(prototypes()[name], name)
    checked(svg)
    balls = re.findall(r'class="ball" cx="([\d.-]+)" cy="([\d.-]+)" r="([\d.]+)"', svg)
    assert len(balls) >= len(prototypes()[name])
    for x, y, r in ((float(a) for a in ball) for ball in balls):
        assert x - r >= -0.1
        assert x + r <= 240.1
        assert y - r >= -0.1
        assert y + r <= 240.1
    if name == "SrTiO3":
        assert len(balls) == 8 + 1 + 6  # corners, centre, faces


def test_the_same_results_give_the_same_bytes_and_no_two_elements_the_same_identifier():
    page = html_report(example())
    assert html_report(example()) == page
    assert " id=" not in page
    assert "matplotlib" not in page


@pytest.mark.parametrize("counts", [{"1": 1}, {"1": 0, "2": 0}, {str(n): n for n in range(1, 40)}])
def test_charts_of_little_and_of_much_are_well_formed(counts):
    for draw in (compared_columns, compared_rows):
        for reference in (counts, {}):
            found = checked(draw(counts, reference, "atoms"))
            assert found.seen.count("svg") == 1


def test_parity_plot_is_a_file_of_its_own_and_the_same_every_time():
    values = [0.1, 2.5, -0.4], [0.2, 2.0, -0.1]
    svg = parity_plot(*values, "band gap", "eV")
    assert svg == parity_plot(*values, "band gap", "eV")
    root = ElementTree.fromstring(svg)
    words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"band gap in the table, eV", "predicted, eV"} <= words
    assert sum("use" in element.tag for element in root.iter()) == 3
    assert "dc:date" not in svg
    assert "</svg>" in parity_plot([1.0], [1.0], "flat", "GPa")


def test_parity_plots_show_several_series_with_their_names():
    series = {"dao-p": ([0.1, 2.5], [0.2, 2.0]), "chgnet": ([0.1], [0.0])}
    svg = parity_plots(series, "force", "eV/Å", "the reference")
    assert svg == parity_plots(series, "force", "eV/Å", "the reference")
    root = ElementTree.fromstring(svg)
    words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"force of the reference, eV/Å", "found, eV/Å", "dao-p", "chgnet"} <= words


def test_numbers():
    assert number(float("nan")) == "–"
    assert number(-0.0123) == "\N{MINUS SIGN}0.0123"
    assert number(12345.6) == "12,346"
