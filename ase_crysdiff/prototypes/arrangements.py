"""Crystals of one count pattern sorted by how their elements lie about each other.

An *arrangement* is what crystals share whose fingerprints are near each other when their elements
are named suitably; it knows nothing of space groups, so that a distorted perovskite and an ideal
one vote together. The first crystal of it gives its elements their places, the *slots*.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np

from ase_crysdiff.symmetry.tables import Floats, Ints

#: Fingerprints of one arrangement are nearer than this to that of its first crystal, root mean
#: square. Votes on mp/val are as good with 0.1, but that takes rutile for anatase.
RADIUS = 0.06


@dataclass(frozen=True)
class Arrangements:
    """The arrangements of some crystals with the same counts.

    Args:
        index: Of each crystal, shape (crystals,).
        order: Row of `assignments` that brings each crystal's elements to the arrangement's slots,
            shape (crystals,).
        equivalent: For each arrangement and each row of `assignments` the first row that gives the
            same crystal, shape (arrangements, assignments).
    """

    index: Ints
    order: Ints
    equivalent: Ints


@cache
def assignments(counts: tuple[int, ...]) -> Ints:
    """All ways to give elements to slots of equal counts: row p puts element p[i] into slot i.

    Args:
        counts: Atoms of each slot, ascending.
    """
    numbers = range(len(counts))
    kept = [p for p in permutations(numbers) if all(counts[p[i]] == counts[i] for i in numbers)]
    return np.array(kept)


def num_assignments(counts: tuple[int, ...]) -> int:
    """How many rows `assignments` has."""
    return math.prod(math.factorial(alike) for alike in Counter(counts).values())


def arrange(
    fingerprints: Floats, counts: tuple[int, ...], first: Sequence[int], radius: float = RADIUS
) -> Arrangements:
    """Sorts crystals into arrangements.

    Each crystal in turn joins the nearest arrangement within the radius, or begins one; then each
    goes to the nearest of all.

    Args:
        fingerprints: Shape (crystals, slots, slots, neighbours).
        counts: Atoms of each slot, ascending.
        first: The crystals in the order in which they may begin an arrangement.
        radius: Largest root mean square difference of fingerprints.
    """
    ways = assignments(counts)
    flat = fingerprints[0].size
    leaders = _Leaders(flat)
    chosen: list[int] = []
    for crystal in first:
        seen = _views(fingerprints[crystal], ways)
        if not chosen or leaders.nearest(seen)[2] > radius**2:
            leaders.add(seen[0])
            chosen.append(crystal)
    found = [leaders.nearest(_views(one, ways)) for one in fingerprints]
    numbers = {tuple(way): i for i, way in enumerate(ways.tolist())}
    equivalent = np.empty((len(chosen), len(ways)), np.int64)
    for row, crystal in enumerate(chosen):
        seen = _views(fingerprints[crystal], ways)
        same = ways[((seen - seen[0]) ** 2).mean(1) <= radius**2]
        for i, way in enumerate(ways):
            equivalent[row, i] = min(numbers[tuple(way[symmetry].tolist())] for symmetry in same)
    return Arrangements(
        np.array([index for index, _, _ in found]),
        np.array([order for _, order, _ in found]),
        equivalent,
    )


def _views(fingerprint: Floats, ways: Ints) -> Floats:
    """The fingerprint with the slots in every order, (ways, slots · slots · neighbours)."""
    return fingerprint[ways[:, :, None], ways[:, None, :]].reshape(len(ways), -1)


class _Leaders:
    """The fingerprints that arrangements began with, in one growing array.

    Args:
        width: Numbers of a fingerprint.
    """

    def __init__(self, width: int) -> None:
        self.rows, self.squares, self.count = np.empty((64, width)), np.empty(64), 0

    def add(self, fingerprint: Floats) -> None:
        if self.count == len(self.rows):
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
            self.squares = np.concatenate([self.squares, np.empty_like(self.squares)])
        self.rows[self.count] = fingerprint
        self.squares[self.count] = fingerprint @ fingerprint
        self.count += 1

    def nearest(self, views: Floats) -> tuple[int, int, float]:
        """The nearest arrangement, the view that it is nearest to, and the mean square."""
        products = views @ self.rows[: self.count].T
        squares = (views**2).sum(1)[:, None] + self.squares[: self.count] - 2 * products
        view, leader = divmod(int(squares.argmin()), self.count)
        return leader, view, float(squares[view, leader]) / views.shape[1]
