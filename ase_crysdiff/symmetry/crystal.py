"""A crystal as its scaffold and its free numbers: symmetric by construction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.operations import Operations
from ase_crysdiff.symmetry.scaffold import Scaffold, Site
from ase_crysdiff.symmetry.tables import Floats, Ints, space_group


@dataclass(frozen=True, eq=False)
class SymmetricCrystal:
    """A crystal in the primitive standard cell of its space group.

    Args:
        scaffold: Space group and occupied sites.
        lattice: Rows of the primitive standard cell in Å, shape (3, 3).
        free_numbers: Free coordinates of all sites, in their order, shape (scaffold.free,).

    Raises:
        InputError: If there are not as many free numbers as the scaffold has, or the lattice is not
            three rows of three.
    """

    scaffold: Scaffold
    lattice: Floats
    free_numbers: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "lattice", np.asarray(self.lattice, dtype=np.float64))
        object.__setattr__(self, "free_numbers", np.asarray(self.free_numbers, dtype=np.float64))
        if self.lattice.shape != (3, 3):
            raise InputError(f"A lattice is three rows of three, got shape {self.lattice.shape}.")
        if self.free_numbers.shape != (self.scaffold.free,):
            raise InputError(
                f"{self.scaffold} has {self.scaffold.free} free coordinates, got an array of shape "
                f"{self.free_numbers.shape}."
            )

    @staticmethod
    def of_sites(
        group: int, lattice: Floats, sites: Sequence[tuple[Site, Floats]]
    ) -> "SymmetricCrystal":
        """A crystal from its sites with their free numbers, in any order; equal sites keep theirs.

        Args:
            group: Number of the space group.
            lattice: Rows of the primitive standard cell in Å, shape (3, 3).
            sites: Each with its free numbers, shape (free,).
        """
        scaffold = Scaffold(group, tuple(site for site, _ in sites))
        rest = list(sites)
        ordered = [
            rest.pop(next(i for i, (site, _) in enumerate(rest) if site == wanted))[1]
            for wanted in scaffold.sites
        ]
        return SymmetricCrystal(scaffold, lattice, np.concatenate(ordered))

    def exchanged(self, elements: Mapping[int, int]) -> "SymmetricCrystal":
        """The same sites and numbers with elements in place of others, by atomic number."""
        ends = np.cumsum([position.free for position in self.scaffold.positions])
        numbers = np.split(self.free_numbers, ends[:-1])
        sites = [(elements.get(z, z), letter) for z, letter in self.scaffold.sites]
        return SymmetricCrystal.of_sites(
            self.scaffold.group, self.lattice, list(zip(sites, numbers, strict=True))
        )

    @cached_property
    def frac_coords(self) -> Floats:
        """Fractional coordinates of all atoms, site after site, shape (atoms, 3)."""
        ends = np.cumsum([position.free for position in self.scaffold.positions])
        parts = np.split(self.free_numbers, ends[:-1])
        pairs = zip(self.scaffold.positions, parts, strict=True)
        return np.concatenate([position.points(u) for position, u in pairs])

    @property
    def species(self) -> Ints:
        """Atomic number of each atom, site after site."""
        return self.scaffold.species

    @property
    def conventional(self) -> Floats:
        """Rows of the conventional cell in Å."""
        found: Floats = np.linalg.inv(self.scaffold.space_group.primitive) @ self.lattice
        return found

    @property
    def operations(self) -> Operations:
        """The operations of the group in this cell, with the permutations of its atoms."""
        return operations_of_scaffold(self.scaffold)

    def scaled(self, volume_ratio: float) -> "SymmetricCrystal":
        """The same crystal in a cell of another volume and the same shape."""
        return SymmetricCrystal(
            self.scaffold, self.lattice * volume_ratio ** (1 / 3), self.free_numbers
        )


def operations_of_scaffold(scaffold: Scaffold) -> Operations:
    """The operations of every crystal of a scaffold, in its primitive standard cell.

    They depend on the scaffold alone: which atom goes where does not hang on the free numbers.
    """
    group, start, columns = scaffold.space_group, 0, []
    for (_, letter), position in zip(scaffold.sites, scaffold.positions, strict=True):
        columns.append(orbit_permutations(scaffold.group, letter) + start)
        start += position.multiplicity
    return Operations(group.rotations, group.translations, np.concatenate(columns, 1))


@cache
def orbit_permutations(number: int, letter: str) -> NDArray[np.int64]:
    """The point of an orbit that each operation takes each of its points to."""
    group = space_group(number)
    position = group.position(letter)
    moved = np.einsum("gij,bjk->gbik", group.rotations, position.basis)
    places = np.einsum("gij,bj->gbi", group.rotations, position.offsets)
    places = places + group.translations[:, None]
    shifts = places[:, :, None] - position.offsets[None, None]
    same = (np.abs(shifts - np.rint(shifts)).max(-1) < 1e-6) & (
        np.abs(moved[:, :, None] - position.basis[None, None]).max((-1, -2), initial=0) < 1e-6
    )
    return same.argmax(-1)
