"""Subgroups of the operations of a crystal in its own cell."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.symmetry.operations import Operations

Ints = NDArray[np.int64]
#: A set of operations: bit g is set if operation g is in it.
Subset = int

#: Subgroups that are looked for at most: groups of many translations have very many.
MOST = 400


def subgroups_of(operations: Operations, most: int = MOST) -> list[Operations]:
    """A group and its subgroups, large ones first; of conjugate ones the first only.

    Those that lose translations of the cell are among them. Conjugate subgroups describe the same
    crystals, as operations of the group take one into the other.

    Args:
        operations: A group.
        most: Subgroups that are looked for at most.
    """
    table = products(operations)
    found: set[Subset] = set()
    kept: list[Subset] = []
    for subset in sorted(_all(table, most), key=lambda s: -s.bit_count()):
        if subset in found:
            continue
        found |= set(_conjugates(table, subset))
        kept.append(subset)
    return [_taken(operations, subset) for subset in kept]


def products(operations: Operations) -> Ints:
    """The number of g h, the operation h followed by g, for all pairs, shape (operations,
    operations).
    """
    turns, shifts = operations.rotations, operations.translations
    count = len(operations)
    table = np.zeros((count, count), np.int64)
    for g in range(count):
        rotations, places = turns[g] @ turns, shifts @ turns[g].T + shifts[g]
        off = places[:, None] - shifts
        same = (rotations[:, None] == turns).all((-1, -2))
        same &= np.abs(off - np.rint(off)).max(-1) < 1e-2
        table[g] = same.argmax(1)
    return table


def _all(table: Ints, most: int) -> set[Subset]:
    """All subgroups, or as many: joins of the cyclic ones."""
    count = len(table)
    whole = (1 << count) - 1
    cyclic = {_closed(table, 1 << g) for g in range(count)}
    found, layer = {whole, *cyclic}, set(cyclic)
    while layer and len(found) < most:
        joined: set[Subset] = set()
        for one in sorted(layer, key=lambda s: -s.bit_count()):
            for other in cyclic:
                if other & ~one and len(found) + len(joined) < most:
                    joined.add(_closed(table, one | other))
        layer = joined - found
        found |= layer
    return found


def _closed(table: Ints, subset: Subset) -> Subset:
    """The smallest subgroup that holds a set."""
    members = np.zeros(len(table), bool)
    members[list(_bits(subset))] = True
    while True:
        chosen = np.flatnonzero(members)
        grown = members.copy()
        grown[table[np.ix_(chosen, chosen)].ravel()] = True
        if (grown == members).all():
            return _subset(members)
        members = grown


def _conjugates(table: Ints, subset: Subset) -> Iterator[Subset]:
    """G H g⁻¹ for all g."""
    identity = int(np.flatnonzero((table == np.arange(len(table))).all(1))[0])
    inverse = (table == identity).argmax(1)
    members = list(_bits(subset))
    for g in range(len(table)):
        turned = np.zeros(len(table), bool)
        turned[table[table[g, members], inverse[g]]] = True
        yield _subset(turned)


def _taken(operations: Operations, subset: Subset) -> Operations:
    chosen = list(_bits(subset))
    return Operations(
        operations.rotations[chosen],
        operations.translations[chosen],
        operations.permutations[chosen],
    )


def _subset(members: "NDArray[np.bool_]") -> Subset:
    return sum(1 << int(g) for g in np.flatnonzero(members))


def _bits(subset: Subset) -> Iterator[int]:
    return (g for g in range(subset.bit_length()) if subset >> g & 1)
