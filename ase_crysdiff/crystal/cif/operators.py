"""Symmetry operators: read from text and held against a cell."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.errors import InputError

#: Translations of all settings are whole numbers of these parts of a cell.
PARTS = 24
#: Two digits of a third are as far from it at most.
_ROUNDING = 0.01
#: Translations are the same if they differ by less: those of one group differ by 1/24 at least.
_SAME = 5e-3
#: By how much a symmetry operator may change lengths of a cell (share) and angles (degrees): cells
#: of files are measured, rounded or relaxed.
_LENGTH, _ANGLE = 0.01, 1.0

_TERM = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)?(?:/([1-9]\d*(?:\.\d*)?))?\*?([xyz]?)")


@dataclass(frozen=True, eq=False)
class Operators:
    """Symmetry operators x' = R x + t in the setting of a cell.

    Args:
        rotations: R, whole numbers, shape (operators, 3, 3).
        translations: t, fractional, shape (operators, 3).
        name: What they are, for messages.
        reversed: -1 where magnetic moments are reversed as well, else 1, shape (operators,);
            None for no such operators.
    """

    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    name: str
    reversed: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def reversals(self) -> NDArray[np.int64]:
        """The sign that each gives to magnetic moments beyond its rotation."""
        return np.ones(len(self), dtype=np.int64) if self.reversed is None else self.reversed

    @staticmethod
    def identity(name: str = "P 1") -> "Operators":
        """Nothing but x, y, z."""
        return Operators(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)), name)

    @staticmethod
    def parse(texts: Iterable[str], name: str, centring: Iterable[str] = ()) -> "Operators":
        """Operators written as `-x, y+1/2, -z`, or as `-x, y, z, -1` with the time reversal of
        magnetic groups.

        Args:
            texts: The operators.
            name: What they are, for messages.
            centring: Translations that each of them is followed by, where a file lists those apart.

        Raises:
            InputError: If one cannot be read, or they are no group.
        """
        shifts = [parse_operator(text) for text in centring] or [parse_operator("x,y,z")]
        keys = {
            _key(rotation, shift + more): (rotation, (shift + more) % 1.0, sign * also)
            for _, more, also in shifts
            for rotation, shift, sign in map(parse_operator, texts)
        }
        rows = list(keys.values())
        found = Operators(
            np.array([rotation for rotation, _, _ in rows]).reshape(-1, 3, 3),
            np.array([shift for _, shift, _ in rows]).reshape(-1, 3),
            name,
            np.array([sign for _, _, sign in rows]),
        )
        found._check_group()
        return found

    def _check_group(self) -> None:
        """Products with a few operators suffice to find a list that breaks off."""
        shifts = defaultdict(list)
        for rotation, shift in zip(self.rotations, self.translations, strict=True):
            shifts[rotation.tobytes()].append(shift)
        for rotation, shift in zip(self.rotations[:8], self.translations[:8], strict=True):
            products = rotation @ self.rotations, self.translations @ rotation.T + shift
            if not all(_is_among(t, shifts[r.tobytes()]) for r, t in zip(*products, strict=True)):
                raise InputError(
                    f"{self.name} are no group: the product of two of them is not among them. "
                    "Perhaps the list is not complete."
                )

    def misfit(self, cell: NDArray[np.float64]) -> float:
        """By how much an operator changes a cell at most, in terms of what is tolerated.

        Args:
            cell: Rows in Å, shape (3, 3).
        """
        return float(self._changes(cell).max())

    def distortion(self, cell: NDArray[np.float64]) -> str:
        """The worst that an operator does to a cell, in words.

        Args:
            cell: Rows in Å, shape (3, 3).
        """
        rotation = self.rotations[int(self._changes(cell).argmax())]
        before, after = (
            " ".join(f"{x:.4g}" for x in np.concatenate(_metric(rows[None]), axis=1)[0])
            for rows in (cell, rotation.T @ cell)
        )
        return (
            f"{self.name} are no symmetry of the cell: one of them turns a cell of {before} (Å, "
            f"degrees) into {after}"
        )

    def _changes(self, cell: NDArray[np.float64]) -> NDArray[np.float64]:
        """By each operator; the images of the cell vectors are the columns of R in their terms."""
        lengths, angles = _metric(cell[None])
        moved_lengths, moved_angles = _metric(self.rotations.transpose(0, 2, 1) @ cell)
        of_lengths = np.abs(moved_lengths / lengths - 1).max(1) / _LENGTH
        changes: NDArray[np.float64] = np.maximum(
            of_lengths, np.abs(moved_angles - angles).max(1) / _ANGLE
        )
        return changes


@cache
def parse_operator(text: str) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """R, t and the sign of the time of one operator.

    Raises:
        InputError: If it cannot be read, or does not keep volumes.
    """
    parts = text.lower().replace(" ", "").strip("'\"").split(",")
    rotation, shift, unit = np.zeros((3, 3)), np.zeros(3), np.zeros(3)
    for row, part in enumerate(parts[:3]):
        terms = list(_TERM.finditer(part))
        if not part or "".join(t[0] for t in terms) != part:
            break
        for term in (t for t in terms if t[0]):
            sign, number, divisor, axis = term.groups()
            size = float(number or 1) / float(divisor or 1) * (-1 if sign == "-" else 1)
            if axis:
                rotation[row, "xyz".index(axis)] += size
            else:
                shift[row] += size
                unit[row] = 0 if divisor else 10.0 ** -len((number or "").partition(".")[2])
    # Decimals of a third are rounded or broken off. In cells with an origin of their own any other
    # shift may be meant; whether the operators form a group will show.
    parted = np.round(shift * PARTS) / PARTS
    shift = np.where(np.abs(shift - parted) < np.minimum(unit, _ROUNDING), parted, shift)
    whole = np.round(rotation).astype(np.int64)
    if (
        len(parts) < 3
        or np.abs(rotation - whole).max() > 0
        or round(abs(float(np.linalg.det(rotation)))) != 1
    ):
        raise InputError(
            f"{text!r} is no symmetry operator. Expected three parts such as 'x-y, -y, z+1/2'."
        )
    return whole, shift % 1.0, -1 if parts[3:] == ["-1"] else 1


def _is_among(shift: NDArray[np.float64], shifts: Sequence[NDArray[np.float64]]) -> bool:
    """Whether a translation is one of some, up to lattice vectors and rounding."""
    return any(np.abs(d - np.rint(d)).max() < _SAME for d in (shift - other for other in shifts))


def _key(rotation: NDArray[np.int64], shift: NDArray[np.float64]) -> tuple[int, ...]:
    return (*rotation.ravel().tolist(), *(np.rint(shift * PARTS).astype(int) % PARTS).tolist())


def _metric(cells: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lengths (Å) and angles (degrees) of cells, shape (cells, 3) each."""
    lengths = np.linalg.norm(cells, axis=2)
    units = cells / lengths[..., None]
    cosines = np.stack([(units[:, (i + 1) % 3] * units[:, (i + 2) % 3]).sum(1) for i in range(3)])
    return lengths, np.degrees(np.arccos(np.clip(cosines.T, -1, 1)))
