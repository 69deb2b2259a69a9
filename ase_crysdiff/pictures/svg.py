"""The few pieces of SVG that drawings are made of. Colours come from the style sheet by class."""

from collections.abc import Iterable
from html import escape


def picture(
    width: float, height: float, label: str, parts: Iterable[str], kind: str = "chart"
) -> str:
    """An image that fills the width it is given, with a name for readers that do not see it."""
    body = "".join(parts)
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )


def rect(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> str:
    """A rectangle; the tip shows under the pointer."""
    title = f"<title>{escape(tip)}</title>" if tip else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect class="{kind}" {place}>{title}</rect>'


def text(x: float, y: float, content: str, kind: str = "tick", anchor: str = "middle") -> str:
    """A line of text."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(content)}</text>'
