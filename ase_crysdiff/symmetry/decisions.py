"""Scaffolds as sequences of decisions: a space group, then letter after letter.

Elements come in the order of their electronegativity, each with its atoms per primitive cell; the
letters of an element ascend. So a canonical scaffold is one sequence, without an end: an element is
finished when its atoms are placed. Which decisions are legal is known exactly at every step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch

from ase_crysdiff.crystal.elements import by_electronegativity
from ase_crysdiff.shapes import Bool, Int, Tensor
from ase_crysdiff.symmetry.feasible import can_follow, choices, feasible_groups
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS

#: Elements of a crystal that a sequence has room for.
MAX_ELEMENTS = 8
#: The property that scaffolds may hang on beside their composition, eV/atom.
ENERGY_ABOVE_HULL = "energy_above_hull"
#: Upper edges of the classes of the energy above the hull, eV/atom; class 0 is unknown.
HULL_EDGES = (0.0, 0.025, 0.05, 0.1, 0.2)
NUM_HULL_CLASSES = len(HULL_EDGES) + 2


def hull_class(energy: float) -> int:
    """The class of an energy above the hull, eV/atom; NaN is unknown."""
    return 0 if np.isnan(energy) else 1 + int(np.searchsorted(HULL_EDGES, max(energy, 0.0)))


@dataclass(frozen=True)
class Decisions:
    """Sequences of S sites each.

    Args:
        elements: Atomic numbers in order, 0 for none.
        counts: Atoms of each element in the primitive cell.
        hull: Class of the energy above the hull.
        group: Number of the space group.
        groups: Which groups can hold the composition; column n is group n, column 0 is none.
        letters: Place of each site's letter in the alphabet.
        turn: Which element each site belongs to.
        remaining: Atoms of that element that are still to be placed.
        allowed: Which letters could follow.
    """

    elements: Int[Tensor, "crystals elements"]
    counts: Int[Tensor, "crystals elements"]
    hull: Int[Tensor, " crystals"]
    group: Int[Tensor, " crystals"]
    groups: Bool[Tensor, "crystals groups"]
    letters: Int[Tensor, "crystals sites"]
    turn: Int[Tensor, "crystals sites"]
    remaining: Int[Tensor, "crystals sites"]
    allowed: Bool[Tensor, "crystals sites letters"]

    def __len__(self) -> int:
        return len(self.group)

    def select(self, rows: Tensor) -> "Decisions":
        """The sequences at these rows."""
        return Decisions(*(getattr(self, f.name)[rows] for f in fields(self)))

    @staticmethod
    def of(
        rows: Sequence[Mapping[str, np.ndarray]], device: torch.device | None = None
    ) -> "Decisions":
        """Sequences of `decisions_of`, with empty sites after the shorter ones, where no letter is
        allowed.
        """
        sites = max(len(row["letters"]) for row in rows)
        return Decisions(
            *(
                torch.from_numpy(np.stack([_filled(row, f.name, sites) for row in rows])).to(device)
                for f in fields(Decisions)
            )
        )


def _filled(row: Mapping[str, np.ndarray], name: str, sites: int) -> np.ndarray:
    """A field of a sequence, filled up to this number of sites."""
    value = row[name]
    if name not in ("letters", "turn", "remaining", "allowed"):
        return value
    filled = np.zeros((sites, *value.shape[1:]), value.dtype)
    filled[: len(value)] = value
    return filled


def ordered(counts: Mapping[int, int]) -> list[tuple[int, int]]:
    """Elements with their atoms in the order of decisions."""
    return sorted(counts.items(), key=lambda pair: by_electronegativity(pair[0]))


@lru_cache(1 << 17)
def letters_that_follow(
    group: int, needs: tuple[int, ...], used: int, lowest: int
) -> Bool[np.ndarray, " letters"]:
    """Which letters may come next, so that the rest can still be completed; not to be written to.

    Args:
        group: Number of the space group.
        needs: Atoms still to be placed: of the element in turn, above 0, then of those to come.
        used: Bit i is set if position i has no free coordinate and is occupied.
        lowest: First letter that the element may still take.
    """
    allowed = np.zeros(len(LETTERS), bool)
    for index, multiplicity, taken, after in choices(group, needs[0], used, lowest):
        allowed[index] = can_follow(group, (needs[0] - multiplicity, *needs[1:]), taken, after)
    return allowed


@lru_cache(1 << 12)
def groups_that_hold(counts: tuple[int, ...]) -> Bool[np.ndarray, " groups"]:
    """Which groups can hold these numbers of atoms, in ascending order; column n is group n."""
    allowed = np.zeros(231, bool)
    allowed[feasible_groups(counts)] = True
    return allowed


def decisions_of(scaffold: Scaffold, hull: int = 0) -> dict[str, np.ndarray]:
    """The sequence of one canonical scaffold, as the rows of `Decisions`."""
    pairs = ordered(scaffold.counts)
    elements, counts = np.zeros((2, MAX_ELEMENTS), np.int64)
    for i, (number, count) in enumerate(pairs):
        elements[i], counts[i] = number, count
    letters, turns, remaining, allowed = [], [], [], []
    needs, used = tuple(count for _, count in pairs), 0
    for turn, (number, _) in enumerate(pairs):
        lowest = 0
        for letter in (LETTERS.index(x) for z, x in scaffold.sites if z == number):
            allowed.append(letters_that_follow(scaffold.group, needs, used, lowest))
            letters.append(letter)
            turns.append(turn)
            remaining.append(needs[0])
            position = scaffold.space_group.positions[letter]
            fixed = position.free == 0
            needs = (needs[0] - position.multiplicity, *needs[1:])
            used, lowest = used | fixed << letter, letter + fixed
        needs = needs[1:]
    return {
        "elements": elements,
        "counts": counts,
        "hull": np.array(hull),
        "group": np.array(scaffold.group),
        "groups": groups_that_hold(tuple(sorted(count for _, count in pairs))),
        "letters": np.array(letters),
        "turn": np.array(turns),
        "remaining": np.array(remaining),
        "allowed": np.array(allowed),
    }
