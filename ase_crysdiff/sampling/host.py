"""A host that is given and guests that are to be placed in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.inpainting import KnownPositions, KnownRows
from ase_crysdiff.constants import NUM_SPECIES, VACANCY
from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.processes.joint import JointProcess
from ase_crysdiff.shapes import Bool, Int, Tensor

Matrix = tuple[tuple[float, float, float], ...]

#: A host whose cell may relax keeps it down to this time: the cosine schedule still leaves it a
#: standard deviation of 0.45 standardised units there, several percent of a length.
CELL_RELEASE = 0.3

#: Atoms are kept this far apart while a host is filled, as a share of the sum of covalent radii,
#: unless a model's card says otherwise: few real crystals have a shorter contact, and a host that
#: is held does not give way to what is put on top of it.
GUEST_DISTANCE = 0.8


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
        relax_cell: Whether the cell is let go towards the end (at `CELL_RELEASE`); host atoms keep
            their fractional coordinates.
        jump_length: Of `RepaintPlan`.
        repeats: Of `RepaintPlan`.
        count_odds: How likely each number of atoms is in this cell, for 0, 1, ...; None leaves it
            to the model's card.
    """

    lattice: Matrix
    frac_coords: Matrix
    species: tuple[int, ...]
    guests: tuple[Guests, ...]
    relax_cell: bool = False
    jump_length: int = 10
    repeats: int = 1
    count_odds: tuple[float, ...] | None = None

    @property
    def counts_are_known(self) -> bool:
        """Whether nothing is left to decide about numbers of atoms."""
        return all(g.least == g.most for g in self.guests)

    @property
    def most_atoms(self) -> int:
        """Atoms of the host and of as many guests as may come."""
        return len(self.species) + sum(g.most for g in self.guests)

    @property
    def contents(self) -> Int[Tensor, " atoms"]:
        """Atomic numbers of all rows, for known counts."""
        return torch.tensor(
            [*self.species, *(g.species for g in self.guests for _ in range(g.most))],
            dtype=torch.long,
        )

    def obstacle(self, max_atoms: int, elements: Sequence[int], finds_counts: bool) -> str | None:
        """Why a model cannot fill this host; None if it can.

        Args:
            max_atoms: Largest cell of the model.
            elements: Atomic numbers that it knows.
            finds_counts: Whether it finds numbers of atoms.
        """
        if not finds_counts and not self.counts_are_known:
            return "it takes known numbers of guests only"
        if self.most_atoms > max_atoms:
            offered = self.most_atoms - len(self.species)
            return (
                f"it holds at most {max_atoms} atoms, here are {len(self.species)} of the host and "
                f"up to {offered} guests"
            )
        unknown = {*self.species, *(g.species for g in self.guests)} - set(elements)
        if unknown:
            return f"it has not seen the elements with atomic numbers {sorted(unknown)} in training"
        return None

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

    def conditions(self, joint: JointProcess, layout: Layout) -> list[Condition]:
        """What holds cell and host; to be applied last, so that nothing moves them any more. All
        crystals are equally large.
        """
        size, count = layout.sizes[0], layout.num_crystals
        positions = torch.zeros(size, 3)
        positions[: len(self.species)] = torch.tensor(self.frac_coords).reshape(-1, 3)
        given = CrystalBatch(
            torch.tensor(self.lattice)[None],
            positions,
            torch.zeros(size).long(),
            torch.tensor([size]),
        )
        given = given.to(layout.device, layout.dtype)
        lattice, coordinates = joint.components["lattice"], joint.components["frac_coords"]
        cell = lattice.representation.encode(given).expand(count, -1)
        everywhere = torch.ones(count, dtype=torch.bool, device=layout.device)
        host = (torch.arange(size, device=layout.device) < len(self.species)).repeat(count)
        return [
            KnownRows("lattice", cell, everywhere, CELL_RELEASE if self.relax_cell else 0.0),
            KnownPositions(
                "frac_coords", coordinates.representation.encode(given).repeat(count, 1), host
            ),
        ]
