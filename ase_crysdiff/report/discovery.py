"""The report of a discovery: one file that needs nothing else, with crystals that can be turned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup
from pymatgen.core import Structure

from ase_crysdiff.pictures.scene import element_colours
from ase_crysdiff.pictures.typography import formula_text, number, with_subscripts
from ase_crysdiff.report.hull_marks import HullPicture
from ase_crysdiff.report.rendering import environment, source
from ase_crysdiff.report.viewer import Viewer

#: Candidates with a drawing; the others can be turned from the table.
_DRAWN = 60


@dataclass(frozen=True)
class Estimate:
    """A predicted number.

    Args:
        value: In the unit.
        unit: Empty for none.
        uncertainty: Standard deviation of its error, in the unit; None if nothing is known of it.
    """

    value: float
    unit: str = ""
    uncertainty: float | None = None

    def __str__(self) -> str:
        spread = "" if self.uncertainty is None else f" ± {number(self.uncertainty, 2)}"
        return f"{number(self.value)}{spread} {self.unit}".strip()


@dataclass(frozen=True)
class CandidateCard:
    """What is said of one candidate.

    Args:
        rank: From 1.
        structure: Conventional cell.
        formula: Reduced.
        space_group: Short symbol, with underscores.
        height: Energy above the hull, eV/atom.
        footing: What the height rests on: "exact", "lower bound" or "no footing".
        provenance: Where the crystal comes from: template and exchanges, or the model.
        file: Its CIF file, as a path relative to the report.
        uncertainty: Standard deviation of the energy's error, eV/atom; None if not known.
        judge_height: Height by the second potential, eV/atom; None without one.
        energy_per_atom: eV/atom.
        properties: Predicted properties by name.
        dynamics: What the check of its vibrations has found; empty if there was none.
        remarks: What else must be said.
    """

    rank: int
    structure: Structure
    formula: str
    space_group: str
    height: float
    footing: str
    provenance: str
    file: str
    uncertainty: float | None = None
    judge_height: float | None = None
    energy_per_atom: float | None = None
    properties: Mapping[str, Estimate] = field(default_factory=dict)
    dynamics: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """In one line of plain text."""
        group = with_subscripts(self.space_group)
        return f"{self.rank}: {formula_text(self.formula)}, {group}"

    @property
    def is_exact(self) -> bool:
        """Whether the hull lists the formula."""
        return self.footing == "exact"


@dataclass(frozen=True)
class Rediscovered:
    """A known compound that was found again.

    Args:
        formula: Reduced.
        space_group: Short symbol, with underscores.
        height: Energy above the hull as it was computed here, eV/atom; None if it was not.
        known_as: Its name where it is known from, such as "mp-19017".
        note: What else there is to say.
    """

    formula: str
    space_group: str
    height: float | None = None
    known_as: str = ""
    note: str = ""


@dataclass(frozen=True)
class FunnelStage:
    """How many crystals were left at a stage.

    Args:
        stage: Its name.
        count: Crystals.
        note: What it asks of them.
    """

    stage: str
    count: int
    note: str = ""


@dataclass(frozen=True)
class PageFigure:
    """A picture on the page.

    Args:
        title: What it shows.
        svg: An element with a name for readers that do not see it, which is taken as it is.
        caption: What must be said below it.
        legend: Names of the kinds of marks, by class of the style sheet.
    """

    title: str
    svg: str
    caption: str = ""
    legend: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of_hull(picture: HullPicture) -> "PageFigure":
        """A picture of a hull."""
        return PageFigure(picture.title, picture.svg(), picture.caption, picture.legend)


@dataclass(frozen=True)
class Citation:
    """A work that a user of the candidates should cite.

    Args:
        key: By which `DiscoveryPage.methods` names it.
        bibtex: Its entry.
    """

    key: str
    bibtex: str


@dataclass(frozen=True)
class DiscoveryPage:
    """All that the page of a discovery says, in plain values.

    Args:
        title: Such as "New crystals of Li-Fe-P-O".
        wish: What was asked, in a sentence.
        summary: What came out, a sentence each; two are enough.
        candidates: The best first.
        funnel: Stages in their order, the draws first.
        rediscovered: Known compounds among what was found.
        figures: Pictures of the hull.
        pattern: Measured pattern, fit and difference, if there was a pattern.
        methods: A paragraph to be pasted into a paper, with the keys of the citations.
        citations: Works that it names.
        facts: Settings and versions by name: seed, potential, hull, library, minutes, ...
        notes: Warnings, above everything else.
        judge: Name of the second potential; empty without one.
    """

    title: str
    wish: str
    summary: tuple[str, ...]
    candidates: tuple[CandidateCard, ...]
    funnel: tuple[FunnelStage, ...]
    rediscovered: tuple[Rediscovered, ...] = ()
    figures: tuple[PageFigure, ...] = ()
    pattern: PageFigure | None = None
    methods: str = ""
    citations: tuple[Citation, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    judge: str = ""


def discovery_report(page: DiscoveryPage) -> str:
    """The page as HTML; the same bytes for the same content.

    Args:
        page: What it says.
    """
    cards = page.candidates
    viewer = Viewer([c.title for c in cards], [c.structure for c in cards])
    properties = list(dict.fromkeys(name for c in cards for name in c.properties))
    return environment().get_template("discovery.html.j2").render(
        page=page,
        title=page.title,
        style=source("style.css") + source("discovery.css"),
        sorting=source("sorting.js"),
        headline=_headline(page),
        nothing=_why_nothing(page),
        viewer=viewer,
        drawn=_DRAWN,
        colours=[element_colours(c.structure) for c in cards[:_DRAWN]],
        properties=properties,
        figures=[_ready(figure) for figure in page.figures],
        pattern=page.pattern and _ready(page.pattern),
        meV=_mev,
    )  # fmt: skip


def _ready(figure: PageFigure) -> dict[str, Any]:
    return {**vars(figure), "svg": Markup(figure.svg)}


def _mev(energy: float, is_exact: bool = True) -> str:
    """eV/atom as meV/atom; lower bounds say so."""
    value = 1000 * energy
    text = f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}"
    sign = "" if is_exact else "≥ "
    return sign + text.replace("-0.0", "0.0").replace("-", "\N{MINUS SIGN}")


def _headline(page: DiscoveryPage) -> list[tuple[str, str]]:
    """The figures at the top: value and name."""
    cards = page.candidates
    found = [(f"{len(cards)}", "candidate" if len(cards) == 1 else "candidates")]
    if cards:
        best = min(cards, key=lambda c: c.height)
        found.append((_mev(best.height, best.is_exact), "lowest height above hull, meV/atom"))
        found.append((f"{sum(c.height <= 0 for c in cards)}", "on or below the hull"))
    found.append((f"{len(page.rediscovered)}", "known compounds found again"))
    return found


def _why_nothing(page: DiscoveryPage) -> str:
    """Why there are no candidates, in a sentence."""
    if not page.funnel or not page.funnel[0].count:
        return "Nothing was drawn, so there is no candidate."
    last = [stage for stage in page.funnel if stage.count][-1]
    then = page.funnel[page.funnel.index(last) + 1 :]
    if not then:
        return "No candidate is left."
    why = f" ({then[0].note})" if then[0].note else ""
    return (
        f"No candidate is left: of {last.count:,} crystals at the stage “{last.stage}” none passed "
        f"“{then[0].stage}”{why}."
    )
