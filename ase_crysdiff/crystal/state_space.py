"""Changes of state space around a model: which rows it sees, and which of them are atoms in the
end.
"""

from abc import ABC, abstractmethod

import torch

from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Tensor


class StateSpace(ABC):
    """How crystals are extended before noise is added, and reduced after it is removed.

    Attributes:
        max_atoms: Largest crystal that the model was trained on.
        has_vacancies: Whether rows may turn out to be no atoms, so that the number of atoms is
            found while sampling.
    """

    max_atoms: int
    has_vacancies = False

    @abstractmethod
    def encoded_size(self, num_atoms: int) -> int:
        """Rows that a crystal of `num_atoms` atoms has inside the model.

        Raises:
            InputError: If the model cannot hold so many atoms.
        """

    @abstractmethod
    def extend(self, batch: CrystalBatch) -> CrystalBatch:
        """The batch with all rows that the model sees, in the same order."""

    @abstractmethod
    def refresh(self, batch: CrystalBatch, rng: RandomStream) -> CrystalBatch:
        """The extended batch with all that is arbitrary in it drawn anew; `rng` has one row per
        atom row.
        """

    @abstractmethod
    def decode(self, batch: CrystalBatch) -> CrystalBatch:
        """The crystals, without the rows that are no atoms. Some may be empty."""

    @abstractmethod
    def loss_weights(self, batch: CrystalBatch, component: str) -> Float[Tensor, " rows"] | None:
        """Weight of each row in the loss of a component; None if all count alike."""


class IdentitySpace(StateSpace):
    """Crystals as they are; the number of atoms is given.

    Args:
        max_atoms: Largest crystal that the model was trained on.
    """

    def __init__(self, max_atoms: int) -> None:
        self.max_atoms = max_atoms

    def encoded_size(self, num_atoms: int) -> int:
        if not 1 <= num_atoms <= self.max_atoms:
            raise InputError(
                f"This model holds 1 to {self.max_atoms} atoms per cell, got {num_atoms}."
            )
        return num_atoms

    def extend(self, batch: CrystalBatch) -> CrystalBatch:
        return batch

    def refresh(self, batch: CrystalBatch, rng: RandomStream) -> CrystalBatch:
        return batch

    def decode(self, batch: CrystalBatch) -> CrystalBatch:
        return batch

    def loss_weights(self, batch: CrystalBatch, component: str) -> None:
        return None


class MirageSpace(StateSpace):
    """Every crystal padded with vacancies ("mirage atoms") to the same number of slots.

    A slot may turn from atom to vacancy and back at any step, so the number of atoms is found while
    sampling. The places of the vacancies mean nothing: they are drawn anew at every fetch and carry
    no coordinate loss.

    Source: Okhotin et al. 2025 (MiAD), infusion and reduction.

    Args:
        slots: Rows of every crystal.
        max_atoms: Largest crystal that the model was trained on; may equal `slots`.
    """

    has_vacancies = True

    def __init__(self, slots: int, max_atoms: int) -> None:
        if max_atoms > slots:
            raise InputError(f"{slots} slots cannot hold crystals of {max_atoms} atoms.")
        self.slots = slots
        self.max_atoms = max_atoms

    def encoded_size(self, num_atoms: int) -> int:
        if not 1 <= num_atoms <= self.max_atoms:
            raise InputError(
                f"This model holds 1 to {self.max_atoms} atoms per cell, got {num_atoms}."
            )
        return self.slots

    def extend(self, batch: CrystalBatch) -> CrystalBatch:
        crystals = len(batch)
        within = torch.arange(len(batch.species), device=batch.species.device)
        first = batch.num_atoms.cumsum(0) - batch.num_atoms
        crystal = torch.arange(crystals, device=within.device).repeat_interleave(batch.num_atoms)
        row = crystal * self.slots + within - first[crystal]
        species = batch.species.new_full((crystals * self.slots,), VACANCY)
        species[row] = batch.species
        frac_coords = batch.frac_coords.new_zeros(crystals * self.slots, 3)
        frac_coords[row] = batch.frac_coords
        return CrystalBatch(
            batch.lattice, frac_coords, species, torch.full_like(batch.num_atoms, self.slots)
        )

    def refresh(self, batch: CrystalBatch, rng: RandomStream) -> CrystalBatch:
        mirage = (batch.species == VACANCY).unsqueeze(-1)
        frac_coords = torch.where(mirage, rng.uniform(3), batch.frac_coords)
        return CrystalBatch(batch.lattice, frac_coords, batch.species, batch.num_atoms)

    def decode(self, batch: CrystalBatch) -> CrystalBatch:
        is_atom = batch.species != VACANCY
        num_atoms = is_atom.view(len(batch), self.slots).sum(1)
        return CrystalBatch(
            batch.lattice, batch.frac_coords[is_atom], batch.species[is_atom], num_atoms
        )

    def loss_weights(self, batch: CrystalBatch, component: str) -> Float[Tensor, " rows"] | None:
        if component != "frac_coords":
            return None
        is_atom = (batch.species != VACANCY).to(batch.frac_coords.dtype)
        return is_atom * (is_atom.numel() / is_atom.sum().clamp_min(1))
