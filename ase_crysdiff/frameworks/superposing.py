"""Turning rigid bodies onto each other: frames of their own, and the rotations that map a body onto
a like one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.float64]
Species = NDArray[np.int64]

#: How far atoms of like bodies may lie from each other, Å.
ALIKE = 0.5
#: Atoms nearer to the centre than this fix no direction, Å.
_CENTRAL = 0.3
#: Pairs of atoms that are tried at most in search of the rotations of a body.
_MAX_TRIALS = 600


def principal_axes(species: Species, positions: Array) -> Array:
    """The frame of a body: columns are its principal axes, the longest extent first, in the senses
    in which the third moments of the atomic numbers along the first two are positive; right-handed.

    Args:
        species: Atomic numbers.
        positions: Å, about the centre, shape (atoms, 3).

    Returns:
        A rotation, shape (3, 3). Where a body is symmetric, one of those that are equally good.

    Source: Kim et al. 2025 (MOFFlow), appendix; the third moment in place of their vector.
    """
    _, axes = np.linalg.eigh(positions.T @ positions)
    axes = axes[:, ::-1].copy()
    for k in (0, 1):
        if species @ (positions @ axes[:, k]) ** 3 < 0:
            axes[:, k] *= -1
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    return axes


def superpositions(
    species: Species, positions: Array, others: Species, places: Array, most: int = 60
) -> Array:
    """The rotations that put a body onto another one, each atom within `ALIKE` of one of its
    element.

    Args:
        species: Atomic numbers of the first body.
        positions: Its atoms about its centre, Å.
        others: Atomic numbers of the second body.
        places: Its atoms about its centre, Å.
        most: Rotations that are returned at most.

    Returns:
        Shape (rotations, 3, 3), the best first; none if the bodies are not alike. Of a linear body,
        whose rotations about itself are without number, one for each end.
    """
    if len(species) != len(others) or (np.sort(species) != np.sort(others)).any():
        return np.zeros((0, 3, 3))
    if len(species) == 1:
        return np.eye(3)[None]
    found: list[tuple[float, Array]] = []
    for rotation in _candidates(species, positions, others, places):
        if any(_near(rotation, kept) for _, kept in found):
            continue
        distance = _fit(species, positions @ rotation.T, others, places)
        if distance is not None:
            found.append((distance, rotation))
            if len(found) == most:
                break
    found.sort(key=lambda pair: pair[0])
    return np.array([rotation for _, rotation in found]).reshape(-1, 3, 3)


def _candidates(species: Species, positions: Array, others: Species, places: Array) -> list[Array]:
    """Rotations that put two atoms of the first body, which no line through the centre joins, onto
    two of the other.
    """
    lengths = np.linalg.norm(positions, axis=1)
    rank = sorted(
        (i for i in range(len(species)) if lengths[i] > _CENTRAL),
        key=lambda i: (_alike(others, places, int(species[i]), lengths[i]).size, -lengths[i], i),
    )
    if not rank:
        return [np.eye(3)]
    first = rank[0]
    second = next(
        (i for i in rank[1:] if _angle(positions[first], positions[i]) > 0.2),
        None,
    )
    ends = _alike(others, places, int(species[first]), lengths[first])
    if second is None:  # a linear body
        return [_turning(positions[first], places[end]) for end in ends]
    wanted = np.linalg.norm(positions[first] - positions[second])
    sides = _alike(others, places, int(species[second]), lengths[second])
    gaps = np.abs(np.linalg.norm(places[ends][:, None] - places[sides][None], axis=-1) - wanted)
    pairs = [(ends[i], sides[j]) for i, j in np.argwhere(gaps < 2 * ALIKE)][:_MAX_TRIALS]
    frame = _frame(positions[first], positions[second])
    return [
        _frame(places[a], places[b]) @ frame.T
        for a, b in pairs
        if a != b and _angle(places[a], places[b]) > 0.1
    ]


def _alike(species: Species, positions: Array, element: int, distance: float) -> NDArray[np.int64]:
    """Atoms of an element at about a distance from the centre."""
    lengths = np.linalg.norm(positions, axis=1)
    near = (np.abs(lengths - distance) < ALIKE) & (lengths > _CENTRAL / 2)
    return np.flatnonzero((species == element) & near)


def _fit(species: Species, turned: Array, others: Species, places: Array) -> float | None:
    """Root of the mean square distance of paired atoms, Å; None if one is off by more than
    `ALIKE`.
    """
    squares = ((turned[:, None] - places[None]) ** 2).sum(-1)
    squares[species[:, None] != others[None]] = 1e6
    nearest = squares.argmin(1)
    if len(np.unique(nearest)) < len(nearest):
        if squares.min(1).max() > ALIKE**2:
            return None
        _rows, nearest = linear_sum_assignment(squares)
    found = squares[np.arange(len(nearest)), nearest]
    return None if found.max() > ALIKE**2 else float(np.sqrt(found.mean()))


def _frame(first: Array, second: Array) -> Array:
    x = first / np.linalg.norm(first)
    y = second - (second @ x) * x
    y = y / np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], 1)


def _turning(start: Array, end: Array) -> Array:
    """A rotation that turns one direction into another."""
    helper = np.eye(3)[np.abs(start).argmin()]
    other = np.eye(3)[np.abs(end).argmin()]
    return _frame(end, other) @ _frame(start, helper).T


def _angle(a: Array, b: Array) -> float:
    """Sine of the angle between the lines of two vectors."""
    return float(np.linalg.norm(np.cross(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))


def _near(a: Array, b: Array) -> bool:
    """Whether two rotations differ by less than about 15 degrees."""
    return bool(np.trace(a.T @ b) > 1 + 2 * np.cos(0.26))
