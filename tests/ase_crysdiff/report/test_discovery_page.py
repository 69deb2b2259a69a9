"""The page of a discovery: complete whatever came out, careful with words, the same every time."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from html_pages import Page

from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.report.discovery import (
    CandidateCard,
    Citation,
    DiscoveryPage,
    Estimate,
    FunnelStage,
    PageFigure,
    Rediscovered,
    discovery_report,
)
from ase_crysdiff.report.hull_marks import HullPoint
from ase_crysdiff.report.phase_diagrams import hull_pictures
from ase_crysdiff.testing.crystals import prototypes

MINUS = "\N{MINUS SIGN}"


def card(rank: int, **changes) -> CandidateCard:
    structure = list(prototypes().values())[rank % len(prototypes())]
    known = CandidateCard(
        rank=rank,
        structure=structure,
        formula=structure.composition.reduced_formula,
        space_group="P6_3/mmc",
        height=0.002 * rank - 0.01,
        footing="exact",
        provenance=f"mp-{rank}: <Ti> & Hf",
        file=f"cif/{rank:04d}.cif",
    )
    return replace(known, **changes)


def page(*cards: CandidateCard, **changes) -> DiscoveryPage:
    known = DiscoveryPage(
        title="New crystals of <Sr>-Ti-O",
        wish="Crystals of Sr, Ti & O.",
        summary=("First sentence.", "Second <sentence>."),
        candidates=cards,
        funnel=(
            FunnelStage("Drawn", 2400, "by <wyckoff>"),
            FunnelStage("Relaxed", 1200),
            FunnelStage("Near the hull", len(cards), "within 0.1 eV/atom"),
        ),
        rediscovered=(Rediscovered("SrTiO3", "Pm-3m", 0.0, "mp-5229", "rank 1"),),
        methods="Drawn with ase-crysdiff [key2025] & more.",
        citations=(Citation("key2025", "@article{key2025, title = {A <b>}}"),),
        facts={"seed": "17", "hull_table": "a & b"},
        notes=("The hull is <partial>.",),
    )
    return replace(known, **changes)


FULL = card(
    3,
    footing="lower bound",
    uncertainty=0.0312,
    judge_height=0.045,
    energy_per_atom=-6.54321,
    properties={"Band gap": Estimate(1.5, "eV", 0.25), "Odd <name>": Estimate(2.0)},
    dynamics="no imaginary mode",
    remarks=("Outside of what <dao-p> knows.",),
)


def test_a_page_says_all_that_it_is_given():
    html = discovery_report(page(card(1), card(2), FULL, judge="chgnet"))
    found = Page(html)
    for words in (
        "New crystals of <Sr>-Ti-O", "Crystals of Sr, Ti & O.", "Second <sentence>.",
        "The hull is <partial>.", "mp-2: <Ti> & Hf", "P6₃/mmc", "1.5 ± 0.25 eV", "Odd <name>",
        "no imaginary mode", "Outside of what <dao-p> knows.", "By chgnet", f"{MINUS}6.543",
        "± 31", "lower bound", "by <wyckoff>", "2,400", "mp-5229", "[key2025] & more.",
        "title = {A <b>}", "hull table", "a & b",
    ):  # fmt: skip
        assert words in found.words, words
    assert found.seen.count("figure") == 3
    assert found.unnamed == []
    assert {"link", "img", "iframe", "object"}.isdisjoint(found.seen)
    assert len(set(found.ids)) == len(found.ids)
    assert {"cif/0003.cif", "#candidate-3"} <= set(found.links)
    assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))


def test_headings_go_down_one_step_at_a_time():
    figures = (PageFigure("Hull", '<svg aria-label="x"></svg>', "caption", {"known": "stable"}),)
    html = discovery_report(page(card(1), figures=figures, pattern=figures[0]))
    levels = Page(html).headings
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_pages_load_nothing_and_are_the_same_every_time():
    html = discovery_report(page(card(1), FULL))
    assert discovery_report(page(card(1), FULL)) == html
    assert not re.findall(
        r"""(?:src|url\(|@import|https?:)""", html.replace("http://www.w3.org", "")
    )


def test_sorting_has_numbers_below_what_is_shown():
    html = discovery_report(page(card(1), FULL, judge="chgnet"))
    rows = re.findall(r"<tr><td class=\"num\">.*?</tr>", html, re.S)
    assert len(rows) == 2
    assert 'data-sort="-0.008"' in rows[0]
    assert 'data-sort="0.045"' in rows[1]
    # What is not known sorts last: it has no number.
    assert rows[0].count('data-sort=""') == 4  # judge, two properties, energy
    heads = html[html.index("<thead>") : html.index("</thead>")].count("<th ")
    assert all(row.count("<td") + row.count("<th ") == heads for row in rows)


def test_lower_bounds_say_so_wherever_a_height_stands():
    words = Page(discovery_report(page(FULL))).words
    assert words.count(f"≥ {MINUS}4.0") == 3  # headline, table, gallery
    assert "≥" not in Page(discovery_report(page(card(20)))).words.replace("≥ marks", "")


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        (
            (("Drawn", 9, ""), ("Relaxed", 4, ""), ("New", 0, "not in the library"), ("x", 0, "")),
            "of 4 crystals at the stage “Relaxed” none passed “New” (not in the library).",
        ),
        ((("Drawn", 0, ""),), "Nothing was drawn"),
        ((), "Nothing was drawn"),
        ((("Drawn", 3, ""),), "No candidate is left."),
    ],
)
def test_without_candidates_a_page_says_why(stages, reason):
    empty = page(
        funnel=tuple(FunnelStage(*stage) for stage in stages),
        rediscovered=(), methods="", citations=(), facts={}, notes=(),
    )  # fmt: skip
    html = discovery_report(empty)
    found = Page(html)
    assert reason in found.words
    assert "dialog" not in found.seen
    assert "None." in found.words


def test_many_candidates_are_all_in_the_table_and_turn():
    cards = [card(k) for k in range(1, 201)]
    html = discovery_report(page(*cards))
    found = Page(html)
    assert found.seen.count("figure") == found.seen.count("svg") == 60
    assert html.count("<td data-view=") == 200
    assert "The first 60 are drawn" in found.words
    assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))
    assert len(html) < 2_500_000


def test_pictures_of_a_hull_stand_on_the_page():
    hull = Hull({"Sr": 0.0, "O": 0.0, "Ti": 0.0, "SrO": -3.0, "TiO2": -3.2, "SrTiO3": -3.5})
    points = [HullPoint("SrTiO3", 0.01, "1")]
    figures = tuple(map(PageFigure.of_hull, hull_pictures(hull, {"Sr", "Ti", "O"}, points)))
    html = discovery_report(page(card(1), figures=figures))
    found = Page(html)
    assert "Phase diagram of Sr–Ti–O" in found.words
    assert "Heights above the hull, by formula" in found.words
    assert found.unnamed == []
    css = html[html.index("<style>") : html.index("</style>")]
    kinds = {c for figure in figures for c in re.findall(r'class="(?:mark )?(\w+)', figure.svg)}
    assert {"hull", "tie", "known", "phase"} <= kinds
    assert all(f".{kind}" in css for kind in kinds - {"chart"})
