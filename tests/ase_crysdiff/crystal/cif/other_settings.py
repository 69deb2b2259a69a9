"""Crystals of the textbook in other settings of their groups."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import spglib
from textbook_crystals import Crystal, setting


@dataclass(frozen=True)
class Setting:
    """A crystal in some setting of its group.

    Args:
        cell: a, b, c, alpha, beta, gamma.
        sites: Element and coordinates of each kind.
        operators: R and t of each.
        share: Of the contents of the standard cell that its cell holds.
    """

    cell: Sequence[float]
    sites: Sequence[tuple[str, Sequence[float]]]
    operators: Sequence[tuple[np.ndarray, np.ndarray]]
    share: float = 1.0


def standard(crystal: Crystal) -> Setting:
    return Setting(crystal.cell, crystal.sites, operators(crystal.hall))


@cache
def operators(hall: int) -> list[tuple[np.ndarray, np.ndarray]]:
    found = spglib.get_symmetry_from_database(hall)
    return list(zip(found["rotations"], found["translations"], strict=True))


def moved(crystal: Crystal, rows: np.ndarray, shift: np.ndarray) -> Setting:
    """In the cell with these rows in terms of the standard one, its origin moved by a shift."""
    matrix = rows @ np.array(crystal.structure.lattice.matrix)
    lengths = np.linalg.norm(matrix, axis=1)
    cosines = [matrix[i] @ matrix[j] / lengths[i] / lengths[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    inverse = np.linalg.inv(rows)  # x' = x inverse
    sites = [(el, (np.array(x) - shift) @ inverse % 1) for el, x in crystal.sites]
    seen = {}
    for rotation, translation in operators(crystal.hall):
        new = np.rint(inverse.T @ rotation @ rows.T).astype(int)
        also = (translation + rotation @ shift - shift) @ inverse % 1
        seen[(*new.ravel(), *(np.rint(also * 24).astype(int) % 24))] = new, also
    return Setting(
        (*lengths, *np.degrees(np.arccos(cosines))),
        sites,
        list(seen.values()),
        abs(np.linalg.det(rows)),
    )


def key(ops: Sequence[tuple[np.ndarray, np.ndarray]]) -> frozenset[tuple[int, ...]]:
    return frozenset((*r.ravel(), *(np.rint(t * 24).astype(int) % 24)) for r, t in ops)


@cache
def _other_origin(number: int) -> np.ndarray:
    """From the second to the first choice of the origin."""
    first, second = (_hall(number, choice) for choice in "12")
    wanted = key(operators(first))
    for shift in itertools.product(np.arange(8) / 8, repeat=3):
        s = np.array(shift)
        if key([(r, (t + r @ s - s) % 1) for r, t in operators(second)]) == wanted:
            return s
    raise AssertionError(number)


def _hall(number: int, choice: str) -> int | None:
    for h in range(1, 531):
        if setting(h).number == number and setting(h).choice == choice:
            return h
    return None


def other_setting(crystal: Crystal) -> tuple[Setting, str]:
    """Another setting of the tables, and its name: rhombohedral axes, the first origin, other axes;
    the standard one where the group has no other.
    """
    own = setting(crystal.hall)
    symbol, number = crystal.group, own.number
    if own.choice == "H":
        rows = np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3
        return moved(crystal, rows, np.zeros(3)), f"{symbol}:R"
    if own.choice == "2":
        return moved(crystal, np.eye(3), _other_origin(number)), f"{symbol}:1"
    for rows in (np.eye(3)[[2, 0, 1]], np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]])):
        found = moved(crystal, rows, np.zeros(3))
        for h in range(1, 531):
            if (
                setting(h).number == number
                and h != crystal.hall
                and 3 <= number <= 74
                and (key(operators(h)) == key(found.operators))
            ):
                return found, setting(h).international_full
    return standard(crystal), own.international_full
