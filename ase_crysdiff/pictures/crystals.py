"""Drawings of crystals as SVG."""

import base64
from dataclasses import dataclass
from html import escape

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.pictures.scene import Points, Scene, colour
from ase_crysdiff.pictures.svg import picture

_SIZE = 240.0
_MARGIN = 14.0
#: What the style sheet of a page says of drawings, for those that stand alone; on light and dark.
_STYLE = (
    "<style>.ball{stroke:rgba(0,0,0,.45);stroke-width:.8}.shine{fill:rgba(255,255,255,.38)}"
    ".bond{stroke:#9aa0a6;stroke-linecap:round}.cell{fill:none;stroke:#7a838c}"
    ".back{stroke-dasharray:3 3}</style>"
)


@dataclass(frozen=True)
class Frame:
    """Where points of space lie in the picture.

    Args:
        scale: Pixels per Å.
        shift: Pixels, x and y.
    """

    scale: float
    shift: Points

    @staticmethod
    def around(scene: Scene) -> "Frame":
        """The frame that a scene just fills."""
        low, high = scene.extent
        scale = (_SIZE - 2 * _MARGIN) / float(max(high - low))
        return Frame(scale, (_SIZE - scale * (low + high)) / 2)

    def flat(self, points: Points) -> Points:
        """Pixels of points whose axes are right, up and toward the eye."""
        xy = points[..., :2] * self.scale + self.shift
        return np.stack([xy[..., 0], _SIZE - xy[..., 1]], axis=-1)


def drawing(structure: Structure, label: str) -> str:
    """One crystal as an SVG element for a page, whose style sheet gives the colours of all but
    the balls.

    Args:
        structure: An ordered crystal.
        label: For readers that do not see it.
    """
    return picture(_SIZE, _SIZE, label, _parts(Scene.of(structure)), "crystal")


def image(structure: Structure, label: str, size: int) -> str:
    """One crystal as an image element that needs nothing around it, for notebooks, which may strip
    style sheets.

    Args:
        structure: An ordered crystal.
        label: For readers that do not see it.
        size: Width and height, pixels.
    """
    return scene_image(Scene.of(structure), label, size)


def scene_image(scene: Scene, label: str, size: int) -> str:
    """What is seen of a crystal or a molecule as an image element, see `image`."""
    svg = picture(_SIZE, _SIZE, label, [_STYLE, *_parts(scene)], "crystal")
    data = base64.b64encode(svg.encode()).decode()
    place = f'width="{size}" height="{size}" alt="{escape(label)}"'
    return f'<img {place} src="data:image/svg+xml;base64,{data}">'


def _parts(scene: Scene) -> list[str]:
    """The cell behind, balls and bonds from back to front, and the cell before them."""
    frame = Frame.around(scene)
    places = frame.flat(scene.atoms)
    depths, width = scene.atoms[:, 2], max(1.2, 0.14 * frame.scale)
    pieces = [
        (float(min(depths[i], depths[j])), _line(places[[i, j]], width)) for i, j in scene.bonds
    ]
    pieces += [
        (float(depth), _ball(place, radius * frame.scale, int(z)))
        for depth, place, radius, z in zip(depths, places, scene.radii, scene.numbers, strict=True)
    ]
    corners, (back, front) = frame.flat(scene.corners), scene.edges
    return [
        _path(corners, back, "cell back"),
        *(part for _, part in sorted(pieces, key=lambda piece: piece[0])),
        _path(corners, front, "cell"),
    ]


def _line(ends: Points, width: float) -> str:
    (x1, y1), (x2, y2) = ends
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="bond" {place} stroke-width="{width:.1f}"/>'


def _ball(centre: Points, radius: float, number: int) -> str:
    x, y = centre
    shine = x - 0.3 * radius, y - 0.32 * radius, 0.32 * radius
    return (
        f'<circle class="ball" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" '
        f'fill="{colour(number)}"/><circle class="shine" cx="{shine[0]:.1f}" '
        f'cy="{shine[1]:.1f}" r="{shine[2]:.1f}"/>'
    )


def _path(points: Points, edges: list[tuple[int, int]], kind: str) -> str:
    steps = "".join(
        f"M{points[a][0]:.1f} {points[a][1]:.1f}L{points[b][0]:.1f} {points[b][1]:.1f}"
        for a, b in edges
    )
    return f'<path class="{kind}" d="{steps}"/>'
