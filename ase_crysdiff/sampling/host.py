"""A host that is given and guests that are to be placed in it."""

from dataclasses import dataclass, replace

import torch

from ase_crysdiff.constants import NUM_SPECIES, VACANCY
from ase_crysdiff.shapes import Bool, Int, Tensor

Matrix = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Guests:
    """Atoms of one element that are to be placed.

    Args:
        species: Atomic number.
        least: Smallest number of them.
        most: Largest number; the model decides between the two.
    """

    species: int
    least: int
    most: int


@dataclass(frozen=True)
class Host:
    """What is known of a crystal, and what is to be added.

    Rows of every crystal are the host's atoms in the given order, then the guests in the given
    order.

    Args:
        lattice: Rows of the cell in Å, Niggli-reduced.
        frac_coords: Of the host's atoms.
        species: Atomic numbers of the host's atoms.
        guests: What is to be placed.
    """

    lattice: Matrix
    frac_coords: Matrix
    species: tuple[int, ...]
    guests: tuple[Guests, ...]

    @property
    def counts_are_known(self) -> bool:
        """Whether nothing is left to decide about numbers of atoms."""
        return all(g.least == g.most for g in self.guests)

    @property
    def most_atoms(self) -> int:
        """Atoms of the host and of as many guests as may come."""
        return len(self.species) + sum(g.most for g in self.guests)

    @property
    def least_atoms(self) -> int:
        """Atoms of the host and of as many guests as must come."""
        return len(self.species) + sum(g.least for g in self.guests)

    def limited(self, rows: int) -> "Host":
        """The same with at most so many atoms: whichever guests may be most beyond their least
        number lose first.

        Args:
            rows: At least `least_atoms`.
        """
        most = [g.most for g in self.guests]
        while len(self.species) + sum(most) > rows:
            surplus = [n - g.least for n, g in zip(most, self.guests, strict=True)]
            most[surplus.index(max(surplus))] -= 1
        pairs = zip(self.guests, most, strict=True)
        return replace(self, guests=tuple(Guests(g.species, g.least, n) for g, n in pairs))

    @property
    def contents(self) -> Int[Tensor, " atoms"]:
        """Atomic numbers of all rows, for known counts."""
        return torch.tensor(
            [*self.species, *(g.species for g in self.guests for _ in range(g.most))],
            dtype=torch.long,
        )

    def allowed(self, slots: int) -> Bool[Tensor, "slots classes"]:
        """Classes that every slot may take: the host's own, the guests', guest or vacancy,
        vacancy.
        """
        allowed = torch.zeros(slots, NUM_SPECIES, dtype=torch.bool)
        row = 0
        for z in self.species:
            allowed[row, z] = True
            row += 1
        for g in self.guests:
            allowed[row : row + g.most, g.species] = True
            allowed[row + g.least : row + g.most, VACANCY] = True
            row += g.most
        allowed[row:, VACANCY] = True
        return allowed

    def elements(self, slots: int) -> Int[Tensor, " slots"]:
        """The element that each guest's slot has if it is an atom; `VACANCY` for all other
        slots.
        """
        guests = [g.species for g in self.guests for _ in range(g.most)]
        before = len(self.species)
        return torch.tensor(
            [*[VACANCY] * before, *guests, *[VACANCY] * (slots - before - len(guests))],
            dtype=torch.long,
        )
