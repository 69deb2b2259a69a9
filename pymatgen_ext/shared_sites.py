"""Sites that are partially occupied or shared, and how many whole atoms belong on them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, prod

import numpy as np
from numpy.typing import ArrayLike
from pymatgen.core import Element, Structure

from ase_crysdiff.crystal.decorations import only_element
from ase_crysdiff.errors import InputError

#: Largest supercell that is proposed.
_MOST_CELLS = 64
#: Occupancies that differ by less are the same.
_DIGITS = 3


@dataclass(frozen=True)
class SharedSites:
    """Sites of a cell with the same occupancies.

    Args:
        sites: Their places in the structure.
        amounts: What the occupancies of each element add up to over these sites.
    """

    sites: tuple[int, ...]
    amounts: Mapping[str, float]

    def counts(self, cells: int = 1) -> dict[str, int]:
        """Whole atoms of each element, together with the empty sites as many as there are sites.

        By largest remainders: every amount is rounded down, and what is missing goes to those that
        lost most, elements before empty sites, in the order of the structure.

        Args:
            cells: How many of these cells are taken together.
        """
        total = cells * len(self.sites)
        shares = [cells * amount for amount in self.amounts.values()]
        shares.append(total - sum(shares))
        whole = [floor(share + 1e-6) for share in shares]
        lost = [share - n for share, n in zip(shares, whole, strict=True)]
        order = sorted(range(len(shares)), key=lambda i: (-round(lost[i], 6), i))
        for i in order[: total - sum(whole)]:
            whole[i] += 1
        return dict(zip(self.amounts, whole, strict=False))


def shared_sites(cell: Structure) -> tuple[list[int], list[SharedSites]]:
    """The full sites of a cell, and the others by what is on them.

    Args:
        cell: In which sites that one element fills in several states are full.

    Raises:
        InputError: If a site holds something that is no element.
    """
    full: list[int] = []
    groups: dict[tuple[tuple[str, float], ...], list[int]] = defaultdict(list)
    for i, site in enumerate(cell):
        if only_element(site.species) is not None:
            full.append(i)
            continue
        amounts: dict[str, float] = defaultdict(float)
        for species, occupancy in site.species.items():
            amounts[_symbol(species)] += float(occupancy)
        groups[tuple((s, round(n, _DIGITS)) for s, n in amounts.items())].append(i)
    return full, [_group(cell, members) for members in groups.values()]


def _group(cell: Structure, members: Sequence[int]) -> SharedSites:
    amounts: dict[str, float] = defaultdict(float)
    for i in members:
        for species, occupancy in cell[i].species.items():
            amounts[_symbol(species)] += float(occupancy)
    return SharedSites(tuple(members), dict(amounts))


def vanished(groups: Sequence[SharedSites], kept: Sequence[str], cells: int = 1) -> list[str]:
    """Elements of which no atom is left when occupancies become whole atoms.

    Args:
        groups: Sites that are shared.
        kept: Elements of the full sites.
        cells: How many of these cells are taken together.
    """
    left = set(kept) | {s for group in groups for s, n in group.counts(cells).items() if n}
    return [s for s in dict.fromkeys(s for g in groups for s in g.amounts) if s not in left]


def check_none_vanishes(
    cell: Structure, groups: Sequence[SharedSites], kept: Sequence[str]
) -> None:
    """Refuses a cell that is too small for some element.

    Args:
        cell: The cell.
        groups: Its shared sites.
        kept: Elements of its full sites.

    Raises:
        InputError: If an element vanishes; the message names the smallest supercell that holds it.
    """
    gone = vanished(groups, kept)
    if not gone:
        return
    amounts = ", ".join(f"{sum(g.amounts.get(s, 0.0) for g in groups):.3g} {s}" for s in gone)
    larger = next((n for n in _supercells(cell) if not vanished(groups, kept, prod(n))), None)
    hint = (
        "Take a larger supercell"
        if larger is None
        else f"Take a larger supercell: {larger} is the smallest that holds all elements"
    )
    raise InputError(
        f"This cell holds {amounts}, which rounds to no atoms. {hint}; or leave these elements out."
    )


def _supercells(cell: Structure) -> Iterator[tuple[int, int, int]]:
    """Supercells of growing size, each as even in its lengths as can be."""
    lengths = cell.lattice.abc
    for cells in range(2, _MOST_CELLS + 1):
        ways = [
            (a, b, cells // a // b)
            for a in range(1, cells + 1)
            for b in range(1, cells // a + 1)
            if cells % (a * b) == 0
        ]
        yield min(ways, key=lambda n: _unevenness(n, lengths))


def _unevenness(times: Sequence[int], lengths: Sequence[float]) -> float:
    """Longest over shortest length; rounded, so that of equal axes the later one is repeated on
    every machine.
    """
    repeated = np.multiply(times, lengths)
    return round(float(repeated.max() / repeated.min()), 6)


def supercell_of(
    structure: Structure, supercell: int | Sequence[int] | ArrayLike | None
) -> Structure:
    """A structure repeated.

    Args:
        structure: Not changed.
        supercell: A number, three numbers or a matrix of whole numbers; None keeps the cell.

    Raises:
        InputError: If it is nothing of the kind, or makes the cell smaller.
    """
    if supercell is None:
        return structure
    array = np.asarray(supercell)
    if array.ndim == 0:
        array = np.repeat(array, 3)
    if not np.issubdtype(array.dtype, np.integer) or array.shape not in ((3,), (3, 3)):
        raise InputError(
            "supercell must be a whole number, three of them or a 3 × 3 matrix of them, got "
            f"{supercell!r}."
        )
    size = round(float(abs(np.linalg.det(np.diag(array) if array.ndim == 1 else array))))
    if size < 1 or (array.ndim == 1 and (array < 1).any()):
        raise InputError(
            f"supercell must make the cell at least as large as it is, got {supercell!r}."
        )
    repeated: Structure = structure.make_supercell(array.tolist(), in_place=False)
    return repeated


def _symbol(species: object) -> str:
    """The element of a species, without oxidation state; deuterium and tritium are hydrogen."""
    number = getattr(species, "Z", None)
    if number is None or not 0 < number <= 118:
        raise InputError(f"{species} is no element.")
    return str(Element.from_Z(int(number)).symbol)
