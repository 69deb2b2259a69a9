"""Whether, and in how many ways, a space group can hold given numbers of atoms.

All counts are those of the primitive cell. A position without free coordinates is a single place
that one element occupies once; the others may be occupied any number of times.
"""

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

import numpy as np

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.tables import space_group

#: Atoms of each element that are still to be placed.
Needs = tuple[int, ...]
#: Answers that are remembered: those for hundreds of compositions, some tens of megabytes.
_REMEMBERED = 1 << 17


def feasible(group: int, counts: Iterable[int]) -> bool:
    """Whether the sites of a space group can hold these numbers of atoms, one for each element.

    Exact.

    Args:
        group: Number of the space group.
        counts: Atoms of each element in the primitive cell, whole numbers above 0.

    Raises:
        InputError: If a count is none, or there is no such group.
    """
    return can_follow(group, _needs(counts), 0, 0)


def feasible_groups(counts: Iterable[int]) -> list[int]:
    """Numbers of all space groups whose sites can hold these numbers of atoms."""
    needs = _needs(counts)
    return [group for group in range(1, 231) if can_follow(group, needs, 0, 0)]


def feasible_units(group: int, unit: Iterable[int], largest: int) -> list[int]:
    """How many formula units of these counts a primitive cell of the group can hold.

    Args:
        group: Number of the space group.
        unit: Atoms of each element in one formula unit.
        largest: Most atoms of a cell.

    Raises:
        InputError: If a count is no whole number above 0, or there is no such group.
    """
    amounts = _needs(unit)
    limit = largest // sum(amounts)
    return [z for z in range(1, limit + 1) if feasible(group, [z * n for n in amounts])]


@lru_cache(_REMEMBERED)
def can_follow(group: int, needs: Needs, used: int, lowest: int) -> bool:
    """Whether the rest of a scaffold can be completed.

    Args:
        group: Number of the space group.
        needs: Atoms still to be placed of the element in turn, then of those that follow.
        used: Bit i is set if position i has no free coordinate and is occupied.
        lowest: First position that the element in turn may still take: its letters ascend.
    """
    if not needs:
        return True
    if needs[0] == 0:
        return can_follow(group, needs[1:], used, 0)
    if lowest == 0:
        general, special = _sums(group, max(needs))
        if all(general >> need & 1 for need in needs):
            return True
        if not all(special >> need & 1 for need in needs):
            return False
    return any(
        can_follow(group, (needs[0] - multiplicity, *needs[1:]), taken, after)
        for _, multiplicity, taken, after in choices(group, needs[0], used, lowest)
    )


def number_of_scaffolds(group: int, counts: Sequence[int]) -> int:
    """How many scaffolds of a group hold these numbers of atoms, one for each of some different
    elements; equivalent letters are counted apart.

    Raises:
        InputError: If a count is no whole number above 0, or there is no such group.
    """
    return _count(group, _needs(counts), 0, 0)


def _needs(counts: Iterable[int]) -> Needs:
    """Counts in the order in which they are placed: it changes nothing, and the smallest is the
    hardest to meet.
    """
    given = list(counts)
    if not given or not all(isinstance(n, int | np.integer) and n > 0 for n in given):
        raise InputError(
            f"Numbers of atoms are whole numbers above 0, one for each element; got {given}."
        )
    return tuple(sorted(int(n) for n in given))


@lru_cache(_REMEMBERED)
def _count(group: int, needs: Needs, used: int, lowest: int) -> int:
    if not needs:
        return 1
    if needs[0] == 0:
        return _count(group, needs[1:], used, 0)
    return sum(
        _count(group, (needs[0] - multiplicity, *needs[1:]), taken, after)
        for _, multiplicity, taken, after in choices(group, needs[0], used, lowest)
    )


def choices(group: int, need: int, used: int, lowest: int) -> list[tuple[int, int, int, int]]:
    """Index and multiplicity of each position that may come next, with what is used and the lowest
    position after it; arguments as of `can_follow`.
    """
    found = []
    for index, (multiplicity, free) in enumerate(_sites(group)):
        if index < lowest or multiplicity > need or (not free and used >> index & 1):
            continue
        found.append(
            (index, multiplicity, used, index)
            if free
            else (index, multiplicity, used | 1 << index, index + 1)
        )
    return found


@cache
def _sites(group: int) -> tuple[tuple[int, int], ...]:
    """Multiplicity and free coordinates of each position."""
    return tuple((p.multiplicity, p.free) for p in space_group(group).positions)


@lru_cache(1 << 14)
def _sums(group: int, largest: int) -> tuple[int, int]:
    """Bit n is set if n atoms are a sum of multiplicities: of positions that may be occupied again,
    and of all.
    """
    return (
        _reach({m for m, free in _sites(group) if free}, largest),
        _reach({m for m, _ in _sites(group)}, largest),
    )


def _reach(multiplicities: set[int], largest: int) -> int:
    reached = 1
    for total in range(1, largest + 1):
        if any(m <= total and reached >> (total - m) & 1 for m in multiplicities):
            reached |= 1 << total
    return reached
