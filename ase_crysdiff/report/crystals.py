"""Drawings of crystals as inline SVG: balls, bonds and the cell, seen from slightly above."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.report.svg import picture

Points: TypeAlias = NDArray[np.float64]

_SIZE = 240.0
_MARGIN = 14.0
#: Pairs below this multiple of the sum of their covalent radii are joined.
_BOND = 1.15
#: Larger cells are drawn without the copies of atoms on faces and edges, and without bonds.
_MANY = 60
_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_EDGES = [
    (a, b) for a in range(8) for b in range(a) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1
]


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
    def around(points: Points, radii: Points) -> "Frame":
        """The frame that balls around the points just fill."""
        low, high = (points[:, :2] - radii[:, None]).min(0), (points[:, :2] + radii[:, None]).max(0)
        scale = (_SIZE - 2 * _MARGIN) / float(max(high - low))
        return Frame(scale, (_SIZE - scale * (low + high)) / 2)

    def flat(self, points: Points) -> Points:
        """Pixels of points whose axes are right, up and toward the eye."""
        xy = points[..., :2] * self.scale + self.shift
        return np.stack([xy[..., 0], _SIZE - xy[..., 1]], axis=-1)


def drawing(structure: Structure, label: str) -> str:
    """One crystal. Atoms on a face, edge or corner of the cell appear on all its copies, as in
    textbooks.
    """
    fractions, numbers = _shown_atoms(structure)
    turn = _view(structure.lattice.matrix)
    corners = _CORNERS @ structure.lattice.matrix @ turn
    atoms = fractions @ structure.lattice.matrix @ turn
    radii = 0.45 * covalent_radii[numbers] + 0.1
    frame = Frame.around(np.concatenate([corners, atoms]), np.concatenate([np.zeros(8), radii]))
    hidden = int(np.argmin(corners[:, 2]))
    back = [e for e in _EDGES if hidden in e]
    front = [e for e in _EDGES if hidden not in e]
    places = frame.flat(atoms)
    pieces = _bonds(structure, atoms, numbers, frame)
    pieces += [
        (float(atom[2]), _ball(place, radius * frame.scale, int(z)))
        for atom, place, radius, z in zip(atoms, places, radii, numbers, strict=True)
    ]
    parts = [_path(frame.flat(corners), back, "cell back")]
    parts += [part for _, part in sorted(pieces, key=lambda piece: piece[0])]
    parts.append(_path(frame.flat(corners), front, "cell"))
    return picture(_SIZE, _SIZE, label, parts, "crystal")


def element_colours(structure: Structure) -> dict[str, str]:
    """The elements of a crystal by atomic number, with the colours of their balls."""
    numbers = sorted({site.specie.Z for site in structure})
    return {chemical_symbols[z]: _colour(z) for z in numbers}


def _shown_atoms(structure: Structure) -> tuple[Points, NDArray[np.int64]]:
    fractions, numbers = [], []
    for site in structure:
        base = np.where(np.abs(site.frac_coords % 1 - 1) < 0.02, 0.0, site.frac_coords % 1)
        near = np.abs(base) < 0.02
        copies = (
            _CORNERS[(near >= _CORNERS).all(axis=1)]
            if len(structure) <= _MANY
            else np.zeros((1, 3))
        )
        for copy in copies:
            fractions.append(base + copy)
            numbers.append(site.specie.Z)
    return np.array(fractions, dtype=float), np.array(numbers, dtype=int)


def _view(matrix: Points) -> Points:
    """Columns: right, up and toward the eye; c points up, and a nearly toward the eye."""
    up = matrix[2] / np.linalg.norm(matrix[2])
    right = np.cross(up, matrix[0])
    right /= np.linalg.norm(right)
    toward = np.cross(right, up)
    yaw, pitch = math.radians(24), math.radians(14)
    toward, right = (
        math.cos(yaw) * toward + math.sin(yaw) * right,
        math.cos(yaw) * right - math.sin(yaw) * toward,
    )
    toward, up = (
        math.cos(pitch) * toward + math.sin(pitch) * up,
        math.cos(pitch) * up - math.sin(pitch) * toward,
    )
    turn: Points = np.stack([right, up, toward], axis=1)
    return turn


def _bonds(
    structure: Structure, atoms: Points, numbers: NDArray[np.int64], frame: Frame
) -> list[tuple[float, str]]:
    """Lines with the depth at which they are to be drawn."""
    if len(structure) > _MANY:
        return []
    parts = []
    radii = covalent_radii[numbers]
    places = frame.flat(atoms)
    width = max(1.2, 0.14 * frame.scale)
    for i in range(len(atoms)):
        distances = np.linalg.norm(atoms[i + 1 :] - atoms[i], axis=1)
        for k in np.nonzero((distances < _BOND * (radii[i] + radii[i + 1 :])) & (distances > 0.1))[
            0
        ]:
            j = i + 1 + int(k)
            (x1, y1), (x2, y2) = places[i], places[j]
            ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
            parts.append(
                (
                    float(min(atoms[i][2], atoms[j][2])),
                    f'<line class="bond" {ends} stroke-width="{width:.1f}"/>',
                )
            )
    return parts


def _ball(centre: Points, radius: float, number: int) -> str:
    x, y = centre
    shine = x - 0.3 * radius, y - 0.32 * radius, 0.32 * radius
    return (
        f'<circle class="ball" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" '
        f'fill="{_colour(number)}"/><circle class="shine" cx="{shine[0]:.1f}" '
        f'cy="{shine[1]:.1f}" r="{shine[2]:.1f}"/>'
    )


def _path(points: Points, edges: list[tuple[int, int]], kind: str) -> str:
    steps = "".join(
        f"M{points[a][0]:.1f} {points[a][1]:.1f}L{points[b][0]:.1f} {points[b][1]:.1f}"
        for a, b in edges
    )
    return f'<path class="{kind}" d="{steps}"/>'


def _colour(number: int) -> str:
    table = jmol_colors[number] if number < len(jmol_colors) else (0.6, 0.6, 0.6)
    return "#" + "".join(f"{round(255 * float(c)):02x}" for c in table)
