"""Figures of matplotlib as SVG inside a page: the same bytes for the same numbers, coloured by the
page's style sheet.
"""

import io
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
#: Text stays text, and identifiers do not change from run to run.
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "crysdiff",
    "font.family": "sans-serif",
}
#: Left out of the file: when and by what it was made.
_ANONYMOUS = {"Date": None, "Creator": None, "Format": None, "Type": None}
#: Between the class of an artist and its tip.
_BETWEEN = "|"


def axes(width: float, height: float, left: float, right: float, top: float, bottom: float) -> Axes:
    """Empty axes in a figure of their own, without a frame.

    Args:
        width: Of the figure, in pixels.
        height: Of the figure, in pixels.
        left: Margin, in pixels.
        right: Margin, in pixels.
        top: Margin, in pixels.
        bottom: Margin, in pixels.
    """
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    size = (width - left - right) / width, (height - top - bottom) / height
    found = figure.add_axes((left / width, bottom / height, *size))
    found.set_frame_on(False)
    found.tick_params(length=0)
    return found


def mark(artist: Artist, kind: str, tip: str = "") -> None:
    """Gives an artist a class of the style sheet, and a tip that shows under the pointer."""
    artist.set_gid(f"{kind}{_BETWEEN}{tip}")
    artist.set_clip_on(False)


def inline(given: Axes, label: str, cut: float = 0.0) -> str:
    """The figure of some axes as an SVG element that fills the width it is given.

    Marked artists have their class and no colours; what is not marked is left out.

    Args:
        given: From `axes`, with artists that `mark` has marked.
        label: For readers that do not see it.
        cut: Left out at the bottom, pixels.
    """
    saved = ElementTree.fromstring(_saved(given))
    x, y, width, height = map(float, saved.attrib["viewBox"].split())
    root = ElementTree.Element(
        "svg",
        {
            "class": "chart",
            "viewBox": f"{x:g} {y:g} {width:g} {height - cut:g}",
            "role": "img",
            "aria-label": label,
            "xmlns": _SVG,
        },
    )
    for group in saved.iter(f"{{{_SVG}}}g"):
        kind, found, tip = group.attrib.get("id", "").partition(_BETWEEN)
        if found:
            root.extend(_bare(shape, kind, tip) for shape in group if shape.tag.endswith(_SHAPES))
    return ElementTree.tostring(root, encoding="unicode")


_SHAPES = ("}path", "}text")


def _bare(shape: ElementTree.Element, kind: str, tip: str) -> ElementTree.Element:
    """A path or a line of text with a class in the place of its style."""
    name = shape.tag.partition("}")[2]
    kept = {k: v for k, v in shape.attrib.items() if k in ("d", "x", "y")}
    if name == "path":
        kept["d"] = " ".join(kept["d"].split())
    found = ElementTree.Element(name, {"class": kind, **kept})
    found.text = shape.text
    if name == "text":
        style = shape.attrib.get("style", "")
        anchor = next((a for a in ("middle", "end") if f"text-anchor: {a}" in style), "start")
        found.set("text-anchor", anchor)
    if tip:
        ElementTree.SubElement(found, "title").text = tip
    return found


def standalone(given: Axes, label: str) -> str:
    """The figure of some axes as an SVG file that needs nothing else, with the colours that it was
    given.

    Args:
        given: From `axes`.
        label: Title of the file.
    """
    return _saved(given, Title=label)


def _saved(given: Axes, **metadata: Any) -> str:
    figure = given.figure
    assert isinstance(figure, Figure)
    file = io.StringIO()
    with matplotlib.rc_context(_SETTINGS):
        figure.savefig(file, format="svg", metadata={**_ANONYMOUS, **metadata})
    return file.getvalue()
