"""A crystal without the names of its elements: a space group and which sites belong together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.tables import LETTERS, SpaceGroup, group_number, space_group

if TYPE_CHECKING:
    from ase_crysdiff.symmetry.scaffold import Scaffold

_HOW = (
    'Write a prototype as "Fm-3m a|b|c": space group, then the letters of each element, '
    "separated by | with no spaces but around it."
)


@dataclass(frozen=True)
class Prototype:
    """A space group and the letters that each of some unnamed elements occupies.

    `str` of it reads back with `Prototype.parse`. Two prototypes with the same `canonical` describe
    the same arrangement.

    Args:
        group: Number of the space group, standard setting.
        parts: Letters of each element, such as ("a", "b", "c") for a full Heusler alloy.

    Raises:
        InputError: If the group or a letter does not exist, a part is empty, or a position without
            free coordinates is occupied twice.
    """

    group: int
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        group = space_group(group_number(self.group))
        if not self.parts or not all(self.parts):
            raise InputError(f"A prototype needs one letter at least for every element. {_HOW}")
        letters = "".join(self.parts)
        for letter in dict.fromkeys(letters):
            times = letters.count(letter)
            if group.position(letter).free == 0 and times > 1:
                raise InputError(
                    f"Position {letter} of {group.symbol} is a single place without free "
                    f"coordinates and can be occupied once, not {times} times."
                )
        ordered = sorted("".join(sorted(part, key=LETTERS.index)) for part in self.parts)
        object.__setattr__(self, "group", group.number)
        object.__setattr__(self, "parts", tuple(sorted(ordered, key=_part_order)))

    @property
    def space_group(self) -> SpaceGroup:
        """Its tables."""
        return space_group(self.group)

    @property
    def counts(self) -> tuple[int, ...]:
        """Atoms of the primitive cell that each part stands for."""
        group = self.space_group
        return tuple(sum(group.position(x).multiplicity for x in part) for part in self.parts)

    @property
    def num_atoms(self) -> int:
        """Atoms of the primitive cell."""
        return sum(self.counts)

    @property
    def free(self) -> int:
        """Free coordinates of all sites together."""
        return sum(self.space_group.position(letter).free for letter in "".join(self.parts))

    def canonical(self) -> "Prototype":
        """The least of all descriptions of the same arrangement."""
        group = self.space_group
        found = min(
            tuple(
                sorted(
                    tuple(sorted(relabelled[LETTERS.index(x)] for x in part)) for part in self.parts
                )
            )
            for relabelled in group.relabellings.tolist()
        )
        parts = tuple("".join(LETTERS[index] for index in part) for part in found)
        return Prototype(group.mirrored, parts)

    def occupied_by(self, elements: Sequence[int]) -> "Scaffold":
        """The scaffold with these elements, by atomic number, one for each part.

        Raises:
            InputError: If there are not as many elements as parts, or one comes twice.
        """
        from ase_crysdiff.symmetry.scaffold import Scaffold

        if len(elements) != len(self.parts) or len(set(elements)) < len(elements):
            raise InputError(
                f"{self} takes {len(self.parts)} different elements, got {list(elements)}."
            )
        pairs = zip(elements, self.parts, strict=True)
        return Scaffold(self.group, tuple((z, letter) for z, part in pairs for letter in part))

    def __str__(self) -> str:
        return f"{self.space_group.symbol} {'|'.join(self.parts)}"

    @staticmethod
    def parse(text: str) -> "Prototype":
        """A prototype from its text, such as "Fm-3m a|b|c" or "225 a|b|c".

        Raises:
            InputError: If it cannot be read, or makes no sense.
        """
        match = re.fullmatch(r"\s*(.+?)\s+([a-zA]+(?:\s*\|\s*[a-zA]+)*)\s*", text)
        if match is None or "|" in match[1]:
            raise InputError(f"{text!r} is no prototype. {_HOW}")
        parts = tuple(part.strip() for part in match[2].split("|"))
        return Prototype(group_number(match[1]), parts)


def _part_order(part: str) -> list[int]:
    return [LETTERS.index(letter) for letter in part]
