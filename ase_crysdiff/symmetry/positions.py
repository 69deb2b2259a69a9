"""The Wyckoff positions of any group of operations in any cell, found from the operations alone.

A position is a class of subspaces that operations fix point by point. They are the solutions of
(R - 1) x + t ∈ ℤ³ for sets of operations; each is solved exactly by the Smith normal form of whole
matrices, inside the subspace that the operations before have left.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.symmetry.operations import Operations

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Points closer than this, in fractional coordinates, are one.
_SAME = 1e-5


@dataclass(frozen=True, eq=False)
class Position:
    """A Wyckoff position: an orbit is basis @ u + offsets, for free numbers u.

    Args:
        basis: How the points move with the free numbers, whole numbers, shape (multiplicity, 3,
            free).
        offsets: Points where all free numbers are 0, shape (multiplicity, 3).
    """

    basis: Ints
    offsets: Floats

    @property
    def free(self) -> int:
        """Free coordinates of an orbit, 0 to 3."""
        return int(self.basis.shape[2])

    @property
    def multiplicity(self) -> int:
        """Points of an orbit in the cell."""
        return len(self.basis)

    def points(self, free_numbers: Floats) -> Floats:
        """Fractional coordinates (multiplicity, 3) of the orbit with these free numbers."""
        found: Floats = (self.basis @ free_numbers + self.offsets) % 1.0
        return found

    def images(self, operations: Operations) -> Ints:
        """The point that each operation takes each point to, shape (operations, multiplicity)."""
        turned = operations.rotations[:, None] @ self.basis
        places = np.einsum("gij,bj->gbi", operations.rotations, self.offsets)
        places = places + operations.translations[:, None]
        same = _same(self.basis, self.offsets, turned[:, :, None], places[:, :, None])
        return same.argmax(-1)


def positions_of(operations: Operations) -> list[Position]:
    """All Wyckoff positions of a group, those with few free coordinates first.

    Args:
        operations: A group; its permutations of atoms are not looked at.
    """
    whole = (np.eye(3, dtype=np.int64), np.zeros(3))
    waiting, seen = [whole], {_key(*whole)}
    found: list[Position] = []
    while waiting:
        basis, origin = waiting.pop()
        found.append(Position(*_orbit(operations, basis, origin)))
        fixing = _fixing(operations, basis, origin)
        for g in np.flatnonzero(~fixing):
            for inner in _fixed_within(operations, int(g), basis, origin):
                if _key(*inner) in seen:
                    continue
                seen |= {_key(b, o) for b, o in zip(*_orbit(operations, *inner), strict=True)}
                waiting.append(inner)
    return sorted(found, key=lambda p: (p.free, p.multiplicity, np.round(p.offsets[0], 6).tolist()))


def _fixed_within(
    operations: Operations, g: int, basis: Ints, origin: Floats
) -> list[tuple[Ints, Floats]]:
    """The subspaces of origin + basis u that operation g fixes point by point."""
    change = operations.rotations[g] - np.eye(3, dtype=np.int64)
    left, steps, right = smith(change @ basis)
    wanted = -left @ (change @ origin + operations.translations[g])
    count = basis.shape[1]
    sizes = np.array([abs(int(steps[i, i])) if i < count else 0 for i in range(3)])
    off = wanted - np.rint(wanted)
    if np.abs(off[sizes == 0]).max(initial=0) > _SAME:
        return []
    rank = int((sizes > 0).sum())
    found = []
    for shift in np.ndindex(*sizes[:rank]):
        numbers = np.zeros(count)
        numbers[:rank] = [(wanted[i] + shift[i]) / steps[i, i] for i in range(rank)]
        place = origin + basis @ (right @ numbers)
        found.append((basis @ right[:, rank:], _tidy(place)))
    return found


def _orbit(operations: Operations, basis: Ints, origin: Floats) -> tuple[Ints, Floats]:
    """The distinct images under all operations of the points of a subspace: bases and origins."""
    turned = operations.rotations @ basis
    places = operations.rotations @ origin + operations.translations
    kept: list[int] = []
    for i in range(len(turned)):
        if not _same(turned[kept], places[kept], turned[i], places[i]).any():
            kept.append(i)
    return turned[kept], _tidy(places[kept])


def _same(
    bases: Ints, origins: Floats, basis: Ints, origin: Floats
) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Whether maps u ↦ origin + basis u agree, modulo lattice vectors."""
    away = origins - origin
    found: NDArray[np.bool_] = (np.abs(away - np.rint(away)).max(-1, initial=0) < _SAME) & (
        bases == basis
    ).all((-1, -2))
    return found


def _key(basis: Ints, origin: Floats) -> tuple[object, ...]:
    """Tells a subspace from others, modulo lattice vectors and however it is written."""
    across = _across(basis.shape[1], *basis.ravel().tolist())
    return across.tobytes(), _rounded(across @ origin)


@cache
def _across(free: int, *entries: int) -> Ints:
    """Whole rows that tell subspaces along a basis apart."""
    basis = np.array(entries, np.int64).reshape(3, free)
    return hermite((smith(basis)[0] if free else np.eye(3, dtype=np.int64))[free:])


def _fixing(operations: Operations, basis: Ints, origin: Floats) -> NDArray[np.bool_]:
    """Which operations fix a subspace point by point."""
    same = (operations.rotations @ basis == basis).all((1, 2))
    away = operations.rotations @ origin + operations.translations - origin
    found: NDArray[np.bool_] = same & (np.abs(away - np.rint(away)).max(1) < _SAME)
    return found


def _rounded(values: Floats) -> tuple[int, ...]:
    return tuple((np.rint(values / _SAME / 10).astype(int) % round(0.1 / _SAME)).tolist())


def _tidy(places: Floats) -> Floats:
    found: Floats = places % 1.0
    return np.where(found > 1 - _SAME, 0.0, found)


def smith(matrix: Ints) -> tuple[Ints, Ints, Ints]:
    """Unimodular matrices and a diagonal one with left @ matrix @ right = diagonal.

    Entries that are not 0 come first on the diagonal.
    """
    rows, columns = matrix.shape
    left, right = np.eye(rows, dtype=np.int64), np.eye(columns, dtype=np.int64)
    work = matrix.astype(np.int64).copy()
    for k in range(min(rows, columns)):
        while True:
            rest = np.abs(work[k:, k:])
            if not rest.any():
                return left, work, right
            i, j = np.argwhere(rest == rest[rest > 0].min())[0] + k
            work[[k, i]], left[[k, i]] = work[[i, k]], left[[i, k]]
            work[:, [k, j]], right[:, [k, j]] = work[:, [j, k]], right[:, [j, k]]
            down, along = work[k + 1 :, k] // work[k, k], work[k, k + 1 :] // work[k, k]
            left[k + 1 :] -= down[:, None] * left[k]
            work[k + 1 :] -= down[:, None] * work[k]
            along = work[k, k + 1 :] // work[k, k]
            right[:, k + 1 :] -= right[:, k, None] * along
            work[:, k + 1 :] -= work[:, k, None] * along
            if not work[k + 1 :, k].any() and not work[k, k + 1 :].any():
                break
    return left, work, right


def hermite(matrix: Ints) -> Ints:
    """The row-style Hermite normal form: one form for all bases of a lattice of rows."""
    work, row = matrix.astype(np.int64).copy(), 0
    for column in range(work.shape[1]):
        while np.count_nonzero(work[row:, column]) > 1:
            below = np.abs(work[row:, column]).astype(float)
            below[below == 0] = np.inf
            k = row + int(below.argmin())
            work[[row, k]] = work[[k, row]]
            work[row + 1 :] -= (work[row + 1 :, column] // work[row, column])[:, None] * work[row]
        if row < len(work) and work[row:, column].any():
            k = row + int(np.flatnonzero(work[row:, column])[0])
            work[[row, k]] = work[[k, row]]
            work[row] *= np.sign(work[row, column])
            work[:row] -= (work[:row, column] // work[row, column])[:, None] * work[row]
            row += 1
        if row == len(work):
            break
    return work
