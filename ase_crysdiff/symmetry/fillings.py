"""Where guests may sit in a host without breaking its symmetry, or as little of it as may be.

A filling is a group of operations of the host, its own or a subgroup, and a set of that group's
Wyckoff positions whose multiplicities add up to the numbers of guests. Positions on which every
orbit would overlap with the host or with itself are left out.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from ase_crysdiff.symmetry.operations import Operations
from ase_crysdiff.symmetry.positions import Floats, Ints, Position, positions_of
from ase_crysdiff.symmetry.subgroups import subgroups_of

#: Weights in natural logarithms: of a site, of each of its free coordinates, of the logarithm of
#: the group's index, and of the smallest distance in units of the sum of covalent radii.
SITE_WEIGHT, FREE_WEIGHT, INDEX_WEIGHT, ROOM_WEIGHT = -1.5, -1.0, -2.25, 6.0
#: Smallest distance that a position must offer, and beyond which more room means nothing, in the
#: same units.
LEAST_ROOM, MOST_ROOM = 0.75, 1.2
#: Room with which guests may start.
_ENOUGH = 0.8
#: Fillings that are kept, the heaviest, and that are looked at for one group.
MOST, MOST_OF_GROUP = 64, 300
#: The cells around one.
_AROUND = np.array(list(product((-1, 0, 1), repeat=3)), float)
#: Values of each free number at which a position is looked at, by their number.
_GRID = (1, 24, 10, 6)


@dataclass(frozen=True, eq=False)
class Filling:
    """Guests on Wyckoff positions of a group of operations of a host.

    Args:
        host: The host.
        operations: Of the group, with the permutations of the guests.
        sites: Positions in the order of the guests.
        species: Atomic number of the guests on each of them.
        weight: Natural logarithm of how likely it is held for, up to a constant.
    """

    host: "SymmetricHost"
    operations: Operations
    sites: tuple[Position, ...]
    species: tuple[int, ...]
    weight: float

    @property
    def free(self) -> int:
        """Free coordinates of all guests."""
        return sum(site.free for site in self.sites)

    @property
    def counts(self) -> dict[int, int]:
        """Guests by atomic number."""
        found: dict[int, int] = {}
        for number, site in zip(self.species, self.sites, strict=True):
            found[number] = found.get(number, 0) + site.multiplicity
        return found

    def points(self, free_numbers: Floats) -> Floats:
        """Fractional coordinates of the guests, site after site, at these free numbers (free,)."""
        parts = np.split(free_numbers, np.cumsum([site.free for site in self.sites]))[:-1]
        pairs = zip(self.sites, parts, strict=True)
        placed = [site.points(numbers) for site, numbers in pairs]
        return np.concatenate(placed) if placed else np.zeros((0, 3))

    def apart(self, tries: Floats) -> Floats:
        """The guests at the first of several free numbers where they have room, or else at those
        where they have most.

        Args:
            tries: Shape (tries, free).
        """
        best, most = self.points(tries[0]), -1.0
        radii = np.repeat(
            self.host.radii[list(self.species)], [site.multiplicity for site in self.sites]
        )
        for numbers in tries:
            points = self.points(numbers)
            room = self.host.room(radii, points)
            if room > most:
                best, most = points, room
            if most > _ENOUGH:
                break
        return best


@dataclass(frozen=True, eq=False)
class SymmetricHost:
    """A host that has its operations exactly.

    Args:
        operations: With the permutations of its atoms.
        frac_coords: Shape (atoms, 3).
        species: Atomic numbers.
        lattice: Rows in Å, reduced.
        radii: Covalent radius of each element in Å, by atomic number.
    """

    operations: Operations
    frac_coords: Floats
    species: Ints
    lattice: Floats
    radii: Floats

    def fillings(self, guests: Mapping[int, int], most: int = MOST) -> list[Filling]:
        """The fillings with these guests, the likeliest first; none where nothing fits.

        Args:
            guests: How many of each atomic number, in the order of the guests.
            most: At most so many.
        """
        found: list[tuple[Filling, tuple[object, ...]]] = []
        for group in subgroups_of(self.operations):
            found += self._of_group(group, guests)
        found.sort(key=lambda pair: -pair[0].weight)
        kept: dict[tuple[object, ...], Filling] = {}
        for filling, key in found:
            kept.setdefault(key, filling)
            if len(kept) == most:
                break
        return list(kept.values())

    def room(self, radii: Floats, points: Floats) -> float:
        """The shortest distance of guests to atoms of the host and among themselves, in units of
        the sum of covalent radii; images of one atom do not count.

        Args:
            radii: Of the guests, Å, shape (guests,).
            points: Fractional, shape (guests, 3).
        """
        every = np.concatenate([points, self.frac_coords])
        away = points[:, None] - every
        away -= np.rint(away)
        distances = np.linalg.norm((away[:, :, None] + _AROUND) @ self.lattice, axis=-1).min(-1)
        shares = distances / (radii[:, None] + np.concatenate([radii, self.radii[self.species]]))
        shares[np.arange(len(points)), np.arange(len(points))] = np.inf
        return float(shares.min(initial=np.inf))

    def _of_group(
        self, group: Operations, guests: Mapping[int, int]
    ) -> Iterator[tuple[Filling, tuple[object, ...]]]:
        """The fillings of one group, each with what tells it from others."""
        most = max(guests.values(), default=0)
        able = [p for p in positions_of(group) if p.multiplicity <= most]
        rooms = {z: [self._best_room(z, p) for p in able] for z in guests}
        base = INDEX_WEIGHT * math.log(len(self.operations) / len(group))
        sets = _sets(able, rooms, list(guests.items()))
        for _, chosen in zip(range(MOST_OF_GROUP), sets, strict=False):
            sites = tuple(able[k] for _, k in chosen)
            numbers = tuple(z for z, _ in chosen)
            least = min((rooms[z][k] for z, k in chosen), default=MOST_ROOM)
            if not any(site.free for site in sites) and sites:
                points = np.concatenate([site.points(np.zeros(0)) for site in sites])
                own = [site.multiplicity for site in sites]
                least = self.room(np.repeat(self.radii[list(numbers)], own), points)
                if least < LEAST_ROOM:
                    continue
            weight = base + ROOM_WEIGHT * min(least, MOST_ROOM)
            weight += sum(SITE_WEIGHT + FREE_WEIGHT * site.free for site in sites)
            columns, count = [np.zeros((len(group), 0), np.int64)], 0
            for site in sites:
                columns.append(site.images(group) + count)
                count += site.multiplicity
            operations = Operations(group.rotations, group.translations, np.concatenate(columns, 1))
            filling = Filling(self, operations, sites, numbers, weight)
            yield filling, self._key(filling)

    def _best_room(self, number: int, position: Position) -> float:
        """The most room that an orbit of a position can have, on a grid of its free numbers."""
        values = (np.arange(_GRID[position.free]) + 0.37) / _GRID[position.free]
        grid = product(values, repeat=position.free)
        radii = np.full(position.multiplicity, self.radii[number])
        return max(self.room(radii, position.points(np.array(u))) for u in grid)

    def _key(self, filling: Filling) -> tuple[object, ...]:
        """Equal for fillings that are the same crystals: where nothing is free, the least of all
        images of the guests under the host's own operations.
        """
        if filling.free:
            return (id(filling),)
        points = filling.points(np.zeros(0))
        numbers = np.repeat(filling.species, [s.multiplicity for s in filling.sites]).tolist()
        images = np.einsum("gij,aj->gai", self.operations.rotations, points)
        images = images + self.operations.translations[:, None]
        whole = np.rint(images * 10_000).astype(int) % 10_000
        return min(
            tuple(sorted(zip(numbers, map(tuple, image.tolist()), strict=True))) for image in whole
        )


def _sets(
    positions: Sequence[Position],
    rooms: Mapping[int, Sequence[float]],
    needs: Sequence[tuple[int, int]],
) -> Iterator[tuple[tuple[int, int], ...]]:
    """Sets of (atomic number, position) that add up to the needs, few free coordinates first.

    A position without free coordinates is taken once; the positions of an element ascend.
    """
    sizes = [position.multiplicity for position in positions]
    fixed = [position.free == 0 for position in positions]

    @cache
    def reachable(number: int, need: int, lowest: int) -> bool:
        """Whether a need is a sum of multiplicities, used ones or not."""
        return need == 0 or any(
            sizes[k] <= need
            and rooms[number][k] >= LEAST_ROOM
            and reachable(number, need - sizes[k], k + fixed[k])
            for k in range(lowest, len(sizes))
        )

    def complete(
        left: Sequence[tuple[int, int]], used: frozenset[int], lowest: int
    ) -> Iterator[tuple[tuple[int, int], ...]]:
        if not left:
            yield ()
            return
        (number, need), rest = left[0], left[1:]
        if need == 0:
            yield from complete(rest, used, 0)
            return
        for k in range(lowest, len(sizes)):
            after = need - sizes[k]
            if after < 0 or k in used or rooms[number][k] < LEAST_ROOM:
                continue
            if reachable(number, after, k + fixed[k]):
                taken = used | {k} if fixed[k] else used
                for others in complete([(number, after), *rest], taken, k + fixed[k]):
                    yield ((number, k), *others)

    return complete(needs, frozenset(), 0)
