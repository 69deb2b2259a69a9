"""Marks and names in pictures of hulls."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import PathPatch
from matplotlib.transforms import Affine2D, ScaledTranslation

from ase_crysdiff.pictures.typography import formula_text, number
from ase_crysdiff.report.figures import inline, mark

#: Room for a key at the bottom of a figure, pixels; a page has its own.
KEY_ROOM = 36.0
INK, SOFT, RULE = "#1c2430", "#5b6675", "#c9ced4"


@dataclass(frozen=True)
class HullPoint:
    """A candidate beside a hull.

    Args:
        formula: Of the crystal.
        height: Energy above the hull, eV/atom; negative below it.
        name: What else to call it, such as its rank and space group.
        is_exact: Whether the hull lists the formula; the height is a lower bound otherwise.
    """

    formula: str
    height: float
    name: str = ""
    is_exact: bool = True

    @property
    def tip(self) -> str:
        """What shows under the pointer."""
        bound = "" if self.is_exact else " or more"
        words = (self.name, f"{formula_text(self.formula)}:")
        height = f"{number(1000 * self.height)} meV/atom above the hull{bound}"
        return " ".join(filter(None, (*words, height)))


@dataclass(frozen=True)
class Style:
    """How a kind of point is marked.

    Args:
        label: What the kind is.
        shape: As matplotlib calls it.
        size: Of the shape, pixels.
        colour: Of the face; "none" for an empty one. The page has its own, by class.
    """

    label: str
    shape: str
    size: float
    colour: str


#: Kinds of points: compounds of the hull, then candidates by height. Colours that are told apart
#: with any kind of colour vision (Wong, Nature Methods 8, 441 (2011)), and shapes beside them.
STYLES = {
    "known": Style("known, stable", "o", 4.5, INK),
    "beside": Style("known, above the hull", "o", 3.0, "none"),
    "band0": Style("candidate on or below the hull", "D", 5.0, "#0072b2"),
    "band1": Style("up to 25 meV/atom above", "^", 5.5, "#009e73"),
    "band2": Style("up to 100 meV/atom above", "s", 4.6, "#e69f00"),
    "band3": Style("higher", "X", 5.0, "#8a8f96"),
}
#: Heights at which the bands end, eV/atom.
_BANDS = 0.0, 0.025, 0.1, math.inf


@dataclass(frozen=True)
class HullPicture:
    """A picture of a hull, as a figure and as SVG for a page.

    Args:
        title: What it shows.
        axes: With everything drawn.
        label: For readers that do not see it.
        caption: What must be said below it.
        legend: Kinds of points, by class of the style sheet.
    """

    title: str
    axes: Axes
    label: str
    caption: str
    legend: dict[str, str]

    @property
    def figure(self) -> Figure:
        """The figure of matplotlib, with a key; not known to pyplot."""
        figure = self.axes.figure
        assert isinstance(figure, Figure)
        if not figure.legends:
            figure.legend(
                handles=[_key(STYLES[kind]) for kind in self.legend],
                loc="lower center",
                bbox_to_anchor=(0.5, 0.0),
                ncols=3,
                frameon=False,
                fontsize=9,
            )
        return figure

    def svg(self) -> str:
        """An element for a page, coloured by its style sheet; the same bytes every time."""
        return inline(self.axes, self.label, KEY_ROOM)


def band(height: float) -> str:
    """The kind of a candidate, by its height, eV/atom."""
    return f"band{next(k for k, end in enumerate(_BANDS) if height <= end + 1e-9)}"


def legend(kinds: Sequence[str]) -> dict[str, str]:
    """What the kinds that occur mean, in the order of `STYLES`."""
    return {kind: style.label for kind, style in STYLES.items() if kind in kinds}


def point(
    axes: Axes, x: float, y: float, kind: str, tip: str, order: float = 3.0, scale: float = 1.0
) -> None:
    """A mark at a place of some axes.

    Args:
        axes: Where to.
        x: In data coordinates.
        y: In data coordinates.
        kind: One of `STYLES`.
        tip: Shows under the pointer.
        order: What is drawn later lies above.
        scale: Times the size of the kind.
    """
    style, figure = STYLES[kind], axes.figure
    marker = MarkerStyle(style.shape)
    shape = marker.get_path().transformed(marker.get_transform())
    # The scales of the axes are linear, so that their transform is affine.
    place = ScaledTranslation(x, y, axes.transData)  # type: ignore[arg-type]
    size = Affine2D().scale(2 * scale * style.size / 72)
    patch = PathPatch(
        shape,
        facecolor=style.colour,
        edgecolor=SOFT if style.colour == "none" else "white",
        linewidth=0.9,
        transform=size + figure.dpi_scale_trans + place,
        zorder=order,
    )
    axes.add_artist(patch)
    mark(patch, f"mark {kind}", tip)


def _key(style: Style) -> Line2D:
    rim = SOFT if style.colour == "none" else "white"
    return Line2D(
        [], [], ls="", marker=style.shape, ms=2 * style.size, mfc=style.colour, mec=rim,
        label=style.label,
    )  # fmt: skip
