"""The 230 space groups: operations, Wyckoff positions, relabellings of their letters.

Settings are the standard ones: unique axis b, hexagonal axes, origin choice 2. Everything that is
computed from here lies in the *primitive standard cell*: rows `SpaceGroup.primitive` of the
conventional cell. Operations act on columns of fractional coordinates, x' = R x + t.

Source: International Tables for Crystallography A; the lists are read from PyXtal, spglib and
pymatgen by `tools/build_space_groups.py`.
"""

import itertools
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.errors import InputError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Letters of Wyckoff positions in the order of the tables; Pmmm has all 27.
LETTERS = "abcdefghijklmnopqrstuvwxyzA"
#: Translations in the shipped table are whole numbers of these parts of a cell.
_PARTS = 24
#: Rows of the primitive cell in terms of the conventional one, by centring; R is obverse.
_PRIMITIVE = {
    "P": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "A": [[1, 0, 0], [0, 1 / 2, -1 / 2], [0, 1 / 2, 1 / 2]],
    "C": [[1 / 2, 1 / 2, 0], [-1 / 2, 1 / 2, 0], [0, 0, 1]],
    "I": [[-1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [1 / 2, 1 / 2, -1 / 2]],
    "F": [[0, 1 / 2, 1 / 2], [1 / 2, 0, 1 / 2], [1 / 2, 1 / 2, 0]],
    "R": [[2 / 3, 1 / 3, 1 / 3], [-1 / 3, 1 / 3, 1 / 3], [-1 / 3, -2 / 3, 1 / 3]],
}
#: The higher-numbered group of each enantiomorphic pair, and the lower.
_MIRRORED = {78: 76, 95: 91, 96: 92, 145: 144, 153: 151, 154: 152}
_MIRRORED |= {170: 169, 172: 171, 179: 178, 181: 180, 213: 212}
#: First group of each crystal family, in the order of the tables.
_FAMILIES = (
    (1, "triclinic"),
    (3, "monoclinic"),
    (16, "orthorhombic"),
    (75, "tetragonal"),
    (143, "hexagonal"),
    (195, "cubic"),
)


@dataclass(frozen=True)
class WyckoffPosition:
    """A Wyckoff position in the primitive standard cell.

    Args:
        letter: Its letter.
        free: Free coordinates of an orbit, 0 to 3.
        frame: Unimodular columns (3, 3) of whole numbers; the first `free` of them span the
            translations of the anchor's subspace that keep it on itself, so that uniform free
            numbers are uniform on it.
        origin: A point (3,) of the anchor's subspace: the anchor is origin + frame[:, :free] u.
        rotations: From the anchor to each of the orbit's points, (multiplicity, 3, 3).
        translations: Of these operations, (multiplicity, 3).
    """

    letter: str
    free: int
    frame: Ints
    origin: Floats
    rotations: Ints
    translations: Floats

    @property
    def multiplicity(self) -> int:
        """Points of an orbit in a primitive cell."""
        return len(self.rotations)

    @cached_property
    def basis(self) -> Ints:
        """How the points move with the free numbers, (multiplicity, 3, free)."""
        return self.rotations @ self.frame[:, : self.free]

    @cached_property
    def offsets(self) -> Floats:
        """The points where all free numbers are 0, (multiplicity, 3)."""
        found: Floats = self.rotations @ self.origin + self.translations
        return found

    def points(self, free_numbers: Floats) -> Floats:
        """Fractional coordinates (multiplicity, 3) of the orbit with these free numbers (free,)."""
        return (self.basis @ free_numbers + self.offsets) % 1.0


@dataclass(frozen=True)
class SpaceGroup:
    """A space group in its standard setting.

    Args:
        number: 1 to 230.
        symbol: Short Hermann-Mauguin symbol, such as "P4_2/mnm".
        hall_number: Of the standard setting in spglib's list.
        centring: P, A, C, I, F or R.
        rotations: One operation for each element of the point group, in axes of the primitive
            cell, (order, 3, 3) whole numbers.
        translations: Their translations, (order, 3).
        positions: Wyckoff positions from a to the general one.
        relabellings: Permutations of the positions under the affine normaliser, (maps, positions):
            position i becomes position relabellings[map, i]. The first changes nothing.
    """

    number: int
    symbol: str
    hall_number: int
    centring: str
    rotations: Ints
    translations: Floats
    positions: tuple[WyckoffPosition, ...]
    relabellings: Ints

    @property
    def primitive(self) -> Floats:
        """Rows of the primitive standard cell in terms of the conventional one."""
        return np.array(_PRIMITIVE[self.centring], float)

    @property
    def family(self) -> str:
        """Crystal family: triclinic, monoclinic, orthorhombic, tetragonal, hexagonal, cubic."""
        return family_of(self.number)

    @property
    def polar(self) -> bool:
        """Whether the origin is free along some direction."""
        return bool(np.abs(self.rotations.mean(0)).max() > 1e-9)

    @property
    def mirrored(self) -> int:
        """The lower number of an enantiomorphic pair: mirror images are one crystal."""
        return mirrored(self.number)

    def position(self, letter: str) -> WyckoffPosition:
        """The position of a letter.

        Raises:
            InputError: If the group has none of that letter.
        """
        index = LETTERS.find(letter) if len(letter) == 1 else -1
        if not 0 <= index < len(self.positions):
            last = self.positions[-1].letter
            raise InputError(
                f"{self.symbol} (number {self.number}) has no Wyckoff position {letter!r}; it has "
                f"{'only a' if last == 'a' else f'a to {last}'}."
            )
        return self.positions[index]


def family_of(number: int) -> str:
    """The crystal family of a space group's number, without its tables."""
    return [name for first, name in _FAMILIES if first <= number][-1]


def mirrored(number: int) -> int:
    """The lower number of a group's enantiomorphic pair, without its tables."""
    return _MIRRORED.get(number, number)


def enantiomorph(number: int) -> int:
    """The group of the mirror images of a group's crystals, without its tables: itself, or the
    other one of its enantiomorphic pair.
    """
    others = {low: high for high, low in _MIRRORED.items()} | _MIRRORED
    return others.get(number, number)


@cache
def space_group(number: int) -> SpaceGroup:
    """The space group of a number.

    Raises:
        InputError: If the number is not from 1 to 230.
    """
    if not 1 <= number <= 230:
        raise InputError(f"A space group has a number from 1 to 230, got {number}.")
    table = _table()
    centring = str(table["centrings"][number - 1])
    change = np.array(_PRIMITIVE[centring], float).T  # columns: conventional = change @ primitive
    inverse = np.linalg.inv(change)
    operations = table["operation_groups"] == number
    rotations = np.rint(inverse @ table["rotations"][operations] @ change).astype(np.int64)
    translations = _tidy(table["translations"][operations] / _PARTS @ inverse.T)
    placed = table["position_groups"] == number
    maps_of_anchors = zip(table["matrices"][placed], table["offsets"][placed], strict=True)
    positions = tuple(
        _position(
            letter,
            inverse @ matrix @ change,
            offset / _PARTS @ inverse.T,
            rotations,
            translations,
        )
        for letter, (matrix, offset) in zip(LETTERS, maps_of_anchors, strict=False)
    )
    maps = table["relabellings"][table["relabelling_groups"] == number, : len(positions)]
    return SpaceGroup(
        number,
        str(table["symbols"][number - 1]),
        int(table["halls"][number - 1]),
        centring,
        rotations,
        translations,
        positions,
        maps.astype(np.int64),
    )


def group_number(text: Any) -> int:
    """The number of a space group given by its number or its short symbol.

    Underscores and spaces in a symbol may be left out: P42/mnm is P4_2/mnm.

    Raises:
        InputError: If there is no such group; the message names similar symbols.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | np.integer):
        raise InputError(f"A space group is a number or a symbol, got {text!r}.")
    if not isinstance(text, str) or text.strip().isdigit():
        return space_group(int(text)).number
    wanted = _plain(text)
    symbols = [str(s) for s in _table()["symbols"]]
    numbers = {_plain(symbol): number for number, symbol in enumerate(symbols, start=1)}
    if wanted not in numbers:
        import difflib

        near = [symbols[numbers[s] - 1] for s in difflib.get_close_matches(wanted, numbers, 3, 0.5)]
        hint = f" Similar: {', '.join(near)}." if near else ""
        raise InputError(
            f"No space group has the symbol {text!r} in its standard setting; give its number or a "
            f"short symbol such as Fm-3m.{hint}"
        )
    return numbers[wanted]


@cache
def number_of_positions() -> Ints:
    """Wyckoff positions of each of the 230 groups."""
    counted: Ints = np.bincount(_table()["position_groups"], minlength=231)[1:]
    return counted


def _plain(symbol: str) -> str:
    return symbol.replace("_", "").replace(" ", "").lower()


@cache
def _table() -> dict[str, NDArray[Any]]:
    path = files("ase_crysdiff.resources") / "space_groups.npz"
    with path.open("rb") as file, np.load(file) as table:
        return {name: table[name] for name in table.files}


def _position(
    letter: str, matrix: Floats, offset: Floats, rotations: Ints, translations: Floats
) -> WyckoffPosition:
    """A position from the affine map of its first representative, x = matrix u + offset."""
    frame, free = _frame(matrix)
    tangents = rotations @ matrix
    starts = rotations @ offset + translations
    kept: list[int] = []
    for i in range(len(rotations)):  # the distinct points of the orbit, in the order of operations
        shifts = starts[kept] - starts[i]
        known = (np.abs(tangents[kept] - tangents[i]).max((1, 2), initial=0) < 1e-6) & (
            np.abs(shifts - np.rint(shifts)).max(1, initial=0) < 1e-6
        )
        if not known.any():
            kept.append(i)
    return WyckoffPosition(letter, free, frame, offset, rotations[kept], translations[kept])


def _frame(matrix: Floats) -> tuple[Ints, int]:
    """Unimodular columns whose first ones span the lattice vectors in the range of a projector,
    the shortest ones first; and how many those are.
    """
    free = round(float(np.trace(matrix)))
    inside = _SHORT[np.abs(_SHORT @ (matrix - np.eye(3)).T).max(1) < 1e-6]
    for chosen in itertools.combinations(inside, free):
        for rest in itertools.combinations(_SHORT, 3 - free):
            frame = np.array([*chosen, *rest]).T
            if abs(round(float(np.linalg.det(frame)))) == 1:
                return frame, free
    raise InputError(f"no unimodular frame for the projector {matrix.tolist()}")


def _tidy(translations: Floats) -> Floats:
    """Translations within the cell, without rounding errors."""
    found: Floats = np.rint(translations * _PARTS * 2) / (_PARTS * 2) % 1.0
    return found


#: Whole vectors, the shortest first; of each and its opposite only one.
_SHORT: Ints = np.array(
    sorted(
        (v for v in itertools.product((0, 1, -1, 2, -2), repeat=3) if any(v)),
        key=lambda v: (sum(x * x for x in v), sum(x < 0 for x in v), [-x for x in v]),
    )
)
