"""What a crystal is before its free numbers are known: a space group and the occupied sites."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from ase_crysdiff.crystal.elements import SYMBOLS, atomic_number, by_electronegativity
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.tables import (
    LETTERS,
    SpaceGroup,
    WyckoffPosition,
    group_number,
    mirrored,
    space_group,
)

#: A site: atomic number and letter.
Site = tuple[int, str]
_HOW = 'Write a scaffold as "P4_2/mnm: Ti a, O f": space group, then elements with their letters.'


@dataclass(frozen=True)
class Scaffold:
    """A space group and the Wyckoff positions that elements occupy, without coordinates.

    Others call it a protostructure, a gene or a Wyckoff representation. Sites are kept in order:
    elements by ascending electronegativity, the letters of each ascending. `str` of it reads back
    with `Scaffold.parse`.

    Args:
        group: Number of the space group, standard setting.
        sites: Atomic number and letter of each orbit, in any order.

    Raises:
        InputError: If the group or a letter does not exist, there is no site, or a position without
            free coordinates is occupied twice.

    Source: Goodall et al. 2022 (Wren); Kazeev et al. 2025 (WyFormer).
    """

    group: int
    sites: tuple[Site, ...]

    def __post_init__(self) -> None:
        group = space_group(group_number(self.group))
        if not self.sites:
            raise InputError(f"A scaffold of {group.symbol} needs one site at least. {_HOW}")
        sites = [_site(entry) for entry in self.sites]
        for _, letter in sites:
            group.position(letter)
        taken = Counter(letter for _, letter in sites)
        for letter, times in taken.items():
            if times > 1 and group.position(letter).free == 0:
                raise InputError(
                    f"Position {letter} of {group.symbol} is a single place without free "
                    f"coordinates and can be occupied once, not {times} times."
                )
        object.__setattr__(self, "group", group.number)
        object.__setattr__(self, "sites", tuple(sorted(sites, key=site_order)))

    @property
    def space_group(self) -> SpaceGroup:
        """Its tables."""
        return space_group(self.group)

    @cached_property
    def positions(self) -> tuple[WyckoffPosition, ...]:
        """The Wyckoff position of each site."""
        return tuple(self.space_group.position(letter) for _, letter in self.sites)

    @property
    def free(self) -> int:
        """Free coordinates of all sites together."""
        return sum(position.free for position in self.positions)

    @property
    def num_atoms(self) -> int:
        """Atoms of the primitive cell."""
        return sum(position.multiplicity for position in self.positions)

    @property
    def counts(self) -> dict[int, int]:
        """Atoms of the primitive cell by atomic number."""
        found: Counter[int] = Counter()
        for (number, _), position in zip(self.sites, self.positions, strict=True):
            found[number] += position.multiplicity
        return dict(found)

    @property
    def species(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Atomic number of each atom of the primitive cell, site after site."""
        return np.repeat(
            [number for number, _ in self.sites], [p.multiplicity for p in self.positions]
        )

    @property
    def prototype(self) -> Prototype:
        """The same without the names of the elements."""
        parts = [
            "".join(letter for _, letter in sites)
            for _, sites in groupby(self.sites, key=lambda site: site[0])
        ]
        return Prototype(self.group, tuple(parts))

    def canonical(self) -> "Scaffold":
        """The least of all descriptions of the same crystal: equal for equal scaffolds.

        Letters are relabelled under the affine normaliser, mirror images take the lower group.
        """
        return self._canonical

    @cached_property
    def _canonical(self) -> "Scaffold":
        group = self.space_group
        elements = list(dict.fromkeys(z for z, _ in self.sites))
        places = [(elements.index(z), LETTERS.index(x)) for z, x in self.sites]
        found = min(
            sorted((place, relabelled[x]) for place, x in places)
            for relabelled in group.relabellings.tolist()
        )
        sites = tuple((elements[place], LETTERS[x]) for place, x in found)
        least = self._of_known(group.mirrored, sites)
        least.__dict__["_canonical"] = least  # searches ask again and again
        return least

    @classmethod
    def _of_known(cls, group: int, sites: tuple[Site, ...]) -> "Scaffold":
        """Of sites in their order that make sense, which searches describe by the thousand."""
        scaffold = object.__new__(cls)
        object.__setattr__(scaffold, "group", group)
        object.__setattr__(scaffold, "sites", sites)
        return scaffold

    def descriptions(self) -> list["Scaffold"]:
        """All descriptions of the same crystal, without repetition, this one first."""
        group = self.space_group
        numbers = [n for n in range(1, 231) if mirrored(n) == group.mirrored]
        numbers.sort(key=lambda n: n != self.group)
        found = (
            Scaffold(n, tuple((z, LETTERS[relabelled[LETTERS.index(x)]]) for z, x in self.sites))
            for n in numbers
            for relabelled in group.relabellings.tolist()
        )
        return list(dict.fromkeys(found))

    def exchanged(self, elements: Mapping[int, int]) -> "Scaffold":
        """The scaffold with elements in place of others, by atomic number."""
        return Scaffold(self.group, tuple((elements.get(z, z), x) for z, x in self.sites))

    def __str__(self) -> str:
        sites = ", ".join(f"{SYMBOLS[number]} {letter}" for number, letter in self.sites)
        return f"{self.space_group.symbol}: {sites}"

    @staticmethod
    def parse(text: str) -> "Scaffold":
        """A scaffold from its text, such as "P4_2/mnm: Ti a, O f" or "136: Ti a, O f".

        Raises:
            InputError: If it cannot be read, or makes no sense.
        """
        group, colon, rest = text.partition(":")
        if not colon:
            raise InputError(f"{text!r} is no scaffold. {_HOW}")
        number = group_number(group.strip())
        sites = [_read_site(part.strip(), text) for part in rest.split(",")]
        return Scaffold(number, tuple(site for part in sites for site in part))


def _site(entry: Any) -> Site:
    """A site as it is kept, of what a caller has given as one."""
    if not isinstance(entry, Sequence) or isinstance(entry, str) or len(entry) != 2:
        raise InputError(
            f"A site is an atomic number with a letter, such as (22, 'a'); got {entry!r}."
        )
    number, letter = entry
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or not 1 <= number < len(SYMBOLS):
        raise InputError(f"{number!r} is the atomic number of no element.")
    return int(number), letter


def _read_site(text: str, whole: str) -> list[Site]:
    """The sites of an entry: an element and one letter or several, such as "O f" or "O ef"."""
    match = re.fullmatch(r"([A-Z][a-z]?)\s+([a-zA\s]+)", text)
    if match is None:
        raise InputError(f"{text!r} of {whole!r} is no site. {_HOW}")
    number = atomic_number(match[1])
    return [(number, letter) for letter in match[2].replace(" ", "")]


def site_order(site: Site) -> tuple[tuple[float, int], int]:
    """What the sites of a scaffold are sorted by: electronegativity, then letter."""
    number, letter = site
    return by_electronegativity(number), LETTERS.index(letter)
