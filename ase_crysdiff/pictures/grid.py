"""Many crystals in one figure of matplotlib."""

import io
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Polygon
from pymatgen.core import Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.pictures.columns import caption
from ase_crysdiff.pictures.scene import Points, Scene, colour

RGBA: TypeAlias = tuple[float, float, float, float]

#: Inches of a panel, without and per line of its caption.
_PANEL, _LINE = 1.7, 0.17
#: Å.
_BOND_WIDTH = 0.14
_BOND, _CELL = to_rgba("#9aa0a6"), to_rgba("#7a838c")
_RIM, _SHINE, _CLEAR = to_rgba("black", 0.45), to_rgba("white", 0.38), to_rgba("white", 0.0)
#: More elements have no key below the figure.
_KEYS = 14


class Picture(Figure):
    """A figure that notebooks show, whether or not pyplot has been imported."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()


def crystal_grid(
    structures: Sequence[Structure],
    *,
    columns: int = 6,
    limit: int = 24,
    captions: Sequence[Sequence[str]] | None = None,
) -> Picture:
    """Drawings of crystals side by side, with what is known of each below it.

    Args:
        structures: Ordered crystals.
        columns: Panels in a row.
        limit: Crystals that are drawn at most; how many are left out stands at the bottom.
        captions: Lines below each drawing; by default formula, space group, and energy above the
            hull or energy where they are known.

    Returns:
        A figure, not known to pyplot; `savefig` writes it.

    Raises:
        InputError: If there are no crystals, or `columns` or `limit` is below one.
    """
    if not structures:
        raise InputError("There are no crystals to draw.")
    if columns < 1 or limit < 1:
        raise InputError(f"columns and limit are at least 1, got {columns} and {limit}.")
    shown = list(structures[:limit])
    lines = [caption(s) for s in shown] if captions is None else list(captions[:limit])
    return scene_grid([Scene.of(s) for s in shown], lines, columns, len(structures) - len(shown))


def scene_grid(
    scenes: Sequence[Scene], captions: Sequence[Sequence[str]], columns: int, left: int = 0
) -> Picture:
    """Crystals or molecules side by side.

    Args:
        scenes: What is seen of each, one at least.
        captions: Lines below each drawing.
        columns: Panels in a row.
        left: How many are left out, which stands at the bottom.
    """
    columns = min(columns, len(scenes))
    rows = -(-len(scenes) // columns)
    height = _PANEL + _LINE * max(map(len, captions))
    figure = Picture(figsize=(_PANEL * columns, height * rows + 0.25 * bool(left) + 0.25))
    figure.set_layout_engine("constrained", h_pad=0.02, w_pad=0.02)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, scene, text in zip(panels, scenes, captions, strict=False):
        draw_crystal(axes, scene)
        axes.set_title("\n".join(text), fontsize=8, y=-0.02, va="top")
    for axes in figure.axes:
        axes.set_axis_off()
    if left:
        figure.supxlabel(f"{left:,} more are not shown", fontsize=8)
    _add_key(figure, scenes)
    return figure


def _add_key(figure: Figure, scenes: Sequence[Scene]) -> None:
    """The colours of the elements, if they are few, below all panels."""
    elements = {int(z) for scene in scenes for z in scene.numbers}
    if len(elements) > _KEYS:
        return
    balls = [
        Line2D([], [], ls="", marker="o", ms=7, mfc=colour(z), mec=_RIM, label=chemical_symbols[z])
        for z in sorted(elements)
    ]
    figure.legend(
        handles=balls,
        loc="outside lower center",
        ncols=max(1, round(_PANEL * figure.get_size_inches()[0] / 1.2)),
        frameon=False,
        fontsize=8,
        handletextpad=0.1,
        columnspacing=1.0,
    )


def draw_crystal(axes: Axes, scene: Scene) -> None:
    """One crystal into some axes, which get its limits, Å, and equal scales."""
    low, high = scene.extent
    centre, reach = (low + high) / 2, float(max(high - low)) / 2 * 1.05
    axes.set_xlim(centre[0] - reach, centre[0] + reach)
    axes.set_ylim(centre[1] - reach, centre[1] + reach)
    axes.set_aspect("equal")
    for edges, style, order in zip(scene.edges, ("dotted", "solid"), (0, 2), strict=True):
        ends = [scene.corners[[a, b], :2] for a, b in edges]
        axes.add_collection(LineCollection(ends, colors=_CELL, lw=0.8, ls=style, zorder=order))
    pieces: list[tuple[float, Patch, RGBA, RGBA]] = [
        (float(scene.atoms[[i, j], 2].min()), _bond(scene.atoms[[i, j], :2]), _BOND, _CLEAR)
        for i, j in scene.bonds
    ]
    for atom, radius, z in zip(scene.atoms, scene.radii, scene.numbers, strict=True):
        x, y, depth = map(float, atom)
        shine = Circle((x - 0.3 * radius, y + 0.32 * radius), 0.32 * radius)
        pieces.append((depth, Circle((x, y), radius), to_rgba(colour(int(z))), _RIM))
        pieces.append((depth, shine, _SHINE, _CLEAR))
    pieces.sort(key=lambda piece: piece[0])
    _, shapes, faces, rims = zip(*pieces, strict=True)
    balls = PatchCollection(shapes, facecolors=faces, edgecolors=rims, linewidths=0.6, zorder=1)
    axes.add_collection(balls)


def _bond(ends: Points) -> Patch:
    """A thin rectangle between two points."""
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along)) or 1.0
    side = np.array([-along[1], along[0]]) * (_BOND_WIDTH / 2 / length)
    return Polygon(np.stack([ends[0] + side, ends[1] + side, ends[1] - side, ends[0] - side]))
