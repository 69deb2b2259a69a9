"""Translations inside a cell that map its crystal onto itself, in a time that grows like the number
of atoms times the number of translations.

A translation takes the first atom of the rarest element to another atom of it. Those candidates are
tried on a few atoms before they are tried on all; and once two translations are known, their sum
needs no search, only a check.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crysdiff.crystal.niggli import niggli_rows

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Atoms that a candidate is tried on first: in a distorted crystal they rule out nearly all.
_SAMPLE = 8


def translations(
    lattice: Array, frac_coords: Array, species: Indices, tolerance: float
) -> tuple[Array, Indices]:
    """All translations but zero, in the order of the atoms that they take the first atom of the
    rarest element to.

    Args:
        lattice: Rows in Å, shape (3, 3).
        frac_coords: Shape (atoms, 3).
        species: Atomic numbers, shape (atoms,).
        tolerance: How far an atom may lie from where a translation takes an atom of its element, Å.

    Returns:
        Fractional shifts, shape (translations, 3), and the image of every atom under each, shape
        (translations, atoms).
    """
    counts = np.bincount(species)
    rarest = np.where(counts > 0, counts, counts.max() + 1).argmin()
    atoms = np.nonzero(species == rarest)[0]
    shifts = frac_coords[atoms] - frac_coords[atoms[0]]
    place = {int(atom): number for number, atom in enumerate(atoms)}
    search = Search(lattice, frac_coords, species, tolerance, atoms[:_SAMPLE])
    known: dict[int, Indices] = {0: np.arange(len(species))}
    tried = {0}
    for number in range(1, len(atoms)):
        if number in tried:
            continue
        tried.add(number)
        image = search.image(shifts[number])
        if image is None:
            continue
        # Sums of the new translation, once, twice, ... with all that are known.
        before, power, reached = list(known.values()), image, number
        while reached not in known:
            for other in before:
                both = power[other]
                target = place[int(both[atoms[0]])]
                tried.add(target)
                if target not in known and search.holds(shifts[target], both):
                    known[target] = both
            if reached not in known:
                break  # within the tolerance once, but not as often as this
            power = image[power]
            reached = place[int(power[atoms[0]])]
    found = sorted(known)[1:]
    return shifts[found].reshape(-1, 3), np.array([known[n] for n in found], dtype=int).reshape(
        -1, len(species)
    )


class Search:
    """Finds the atoms that a translation takes the atoms to.

    Args:
        lattice: Rows in Å.
        frac_coords: Of the atoms.
        species: Atomic numbers.
        tolerance: Å.
        sample: Atoms that are looked at first.
    """

    def __init__(
        self,
        lattice: Array,
        frac_coords: Array,
        species: Indices,
        tolerance: float,
        sample: Indices,
    ) -> None:
        self.lattice, self.frac_coords, self.tolerance = lattice, frac_coords, tolerance
        # A tree of a periodic box knows no angles. In the axes of the Niggli cell, with lengths in
        # Å, its nearest atom is the nearest of all where atoms do not overlap.
        reduced = niggli_rows(lattice)
        reduced = lattice if reduced is None else reduced
        self.change = lattice @ np.linalg.inv(reduced)
        self.box = np.linalg.norm(reduced, axis=1)
        self.groups = [np.nonzero(species == z)[0] for z in np.unique(species)]
        self.trees = [cKDTree(self._boxed(frac_coords[g]), boxsize=self.box) for g in self.groups]
        self.sample = sample
        self.sampled = next(i for i, group in enumerate(self.groups) if sample[0] in group)

    def image(self, shift: Array) -> Indices | None:
        """The atom that each atom is taken to; None if one is taken to none of its element."""
        if self.nearest(self.sampled, self.sample, shift) is None:
            return None
        image = np.empty(len(self.frac_coords), dtype=int)
        for number, group in enumerate(self.groups):
            found = self.nearest(number, group, shift)
            if found is None or len(np.unique(found)) < len(found):
                return None
            image[group] = found
        return image

    def holds(self, shift: Array, image: Indices, atoms: Indices | None = None) -> bool:
        """Whether a translation takes each atom to the one that is given for it."""
        start = self.frac_coords if atoms is None else self.frac_coords[atoms]
        steps = start + shift - self.frac_coords[image]
        steps -= np.rint(steps)
        return bool((np.linalg.norm(steps @ self.lattice, axis=-1) <= self.tolerance).all())

    def nearest(self, number: int, atoms: Indices, shift: Array) -> Indices | None:
        places = self._boxed(self.frac_coords[atoms] + shift)
        found = self.groups[number][self.trees[number].query(places)[1]]
        return found if self.holds(shift, found, atoms) else None

    def _boxed(self, frac_coords: Array) -> Array:
        wrapped = (frac_coords @ self.change) % 1.0 * self.box
        return np.where(wrapped >= self.box, 0.0, wrapped)
