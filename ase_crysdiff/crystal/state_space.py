"""Changes of state space around a model: which rows it sees, and which of them are atoms in the
end.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch

from ase_crysdiff import arguments
from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.shapes import Float, Int, Tensor


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
        """Rows that hold a crystal of `num_atoms` atoms inside the model.

        Raises:
            InputError: If the model cannot hold so many atoms.
        """

    def rows_odds(self, sizes: Mapping[int, float]) -> dict[int, float]:
        """How often crystals have each number of rows in training.

        Args:
            sizes: How often they have each number of atoms.

        Raises:
            InputError: If the model cannot hold so many atoms.
        """
        found: dict[int, float] = {}
        for atoms, share in sizes.items():
            rows = self.encoded_size(atoms)
            found[rows] = found.get(rows, 0.0) + share
        return found

    @abstractmethod
    def extend(self, batch: CrystalBatch, rows: int | None = None) -> CrystalBatch:
        """The batch with all rows that the model sees, in the same order.

        Args:
            batch: Crystals.
            rows: Of every crystal; None for those that they have in training.
        """

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
        """Weight of each row in the loss of a component, 1 on average; None if all count alike."""

    def species_weights(self, species: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Weight of the loss of each species against others; by default all count alike."""
        return torch.ones_like(species, dtype=torch.get_default_dtype())


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

    def extend(self, batch: CrystalBatch, rows: int | None = None) -> CrystalBatch:
        return batch

    def refresh(self, batch: CrystalBatch, rng: RandomStream) -> CrystalBatch:
        return batch

    def decode(self, batch: CrystalBatch) -> CrystalBatch:
        return batch

    def loss_weights(self, batch: CrystalBatch, component: str) -> None:
        return None


class MirageSpace(StateSpace):
    """Crystals padded with vacancies ("mirage atoms").

    A row may turn from atom to vacancy and back at any step, so the number of atoms is found while
    sampling. The places of the vacancies mean nothing: they are drawn anew at every fetch and carry
    no coordinate loss.

    As published every crystal has the same number of rows. With `spare` it has as many rows as
    atoms and a few more, whose number is drawn: then few rows are empty, and a model costs little
    more than one without vacancies. Whoever draws the number of rows of new crystals as it was
    drawn in training (`rows_odds`) samples the law of the data as exactly as with a fixed number.

    Args:
        max_atoms: Largest crystal that the model was trained on; may equal `slots`.
        slots: Rows of every crystal; None where `spare` says how many there are.
        spare: Odds of 0, 1, 2, … rows beside the atoms; None for a fixed number of rows.
        vacancy_weight: Weight of a vacancy beside that of an atom in the loss of the species.

    Raises:
        InputError: If the numbers make no sense.

    Source: Okhotin et al. 2025 (MiAD), infusion and reduction; appendix B for weights of the loss
    of species. The drawn number of rows is ours.
    """

    has_vacancies = True

    def __init__(
        self,
        max_atoms: int,
        slots: int | None = None,
        spare: Sequence[float] | None = None,
        vacancy_weight: float = 1.0,
    ) -> None:
        if (slots is None) == (spare is None):
            raise InputError(
                "A mirage space takes slots, the rows of every crystal, or spare, the odds of "
                f"further rows; got slots={slots!r} and spare={spare!r}. Set one of them to None."
            )
        if slots is not None and max_atoms > slots:
            raise InputError(f"{slots} slots cannot hold crystals of {max_atoms} atoms.")
        if spare is not None and not (spare and min(spare) >= 0 and sum(spare) > 0):
            raise InputError(
                f"spare must be odds of 0, 1, 2, … further rows, not all 0, got {list(spare)}."
            )
        self.max_atoms = max_atoms
        self.slots = slots
        self.spare = None if spare is None else [odds / sum(spare) for odds in spare]
        self.vacancy_weight = arguments.above_zero("vacancy_weight", vacancy_weight)

    def encoded_size(self, num_atoms: int) -> int:
        if not 1 <= num_atoms <= self.max_atoms:
            raise InputError(
                f"This model holds 1 to {self.max_atoms} atoms per cell, got {num_atoms}."
            )
        return num_atoms if self.slots is None else self.slots

    @property
    def max_rows(self) -> int:
        """Rows of the largest crystals in training."""
        return self.max_atoms + len(self.spare) - 1 if self.spare else self.slots or 0

    def rows_odds(self, sizes: Mapping[int, float]) -> dict[int, float]:
        found: dict[int, float] = {}
        for rows, share in super().rows_odds(sizes).items():
            for more, odds in enumerate(self.spare or [1.0]):
                found[rows + more] = found.get(rows + more, 0.0) + share * odds
        return {rows: share for rows, share in sorted(found.items()) if share > 0}

    def extend(self, batch: CrystalBatch, rows: int | None = None) -> CrystalBatch:
        counts = self._rows(batch.num_atoms, rows)
        within = torch.arange(len(batch.species), device=batch.species.device)
        first = batch.num_atoms.cumsum(0) - batch.num_atoms
        row = within + (counts.cumsum(0) - counts - first).repeat_interleave(batch.num_atoms)
        total = int(counts.sum())
        species = batch.species.new_full((total,), VACANCY)
        species[row] = batch.species
        frac_coords = batch.frac_coords.new_zeros(total, 3)
        frac_coords[row] = batch.frac_coords
        return CrystalBatch(batch.lattice, frac_coords, species, counts)

    def _rows(self, num_atoms: Tensor, rows: int | None) -> Tensor:
        """Rows of each crystal. Spare ones are a function of the order of the crystals: a run that
        goes on sees the crystals as it saw them before.
        """
        fixed = self.slots if rows is None else rows
        if fixed is not None or not len(num_atoms):
            return torch.full_like(num_atoms, fixed or 0)
        odds = torch.tensor(self.spare, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        more = torch.multinomial(odds, len(num_atoms), replacement=True, generator=generator)
        return num_atoms + more.to(num_atoms)

    def refresh(self, batch: CrystalBatch, rng: RandomStream) -> CrystalBatch:
        mirage = (batch.species == VACANCY).unsqueeze(-1)
        frac_coords = torch.where(mirage, rng.uniform(3), batch.frac_coords)
        return CrystalBatch(batch.lattice, frac_coords, batch.species, batch.num_atoms)

    def decode(self, batch: CrystalBatch) -> CrystalBatch:
        is_atom = batch.species != VACANCY
        ends = torch.cat([is_atom.new_zeros(1, dtype=torch.long), is_atom.cumsum(0)])
        num_atoms = ends[batch.num_atoms.cumsum(0)].diff(prepend=ends[:1])
        return CrystalBatch(
            batch.lattice, batch.frac_coords[is_atom], batch.species[is_atom], num_atoms
        )

    def loss_weights(self, batch: CrystalBatch, component: str) -> Float[Tensor, " rows"] | None:
        is_atom = batch.species != VACANCY
        if component == "frac_coords":
            weights = is_atom.to(batch.frac_coords.dtype)
        elif component == "species" and self.vacancy_weight != 1:
            weights = self.species_weights(batch.species)
        else:
            return None
        return weights * (weights.numel() / weights.sum().clamp_min(1))

    def species_weights(self, species: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        weights = super().species_weights(species)
        return torch.where(species == VACANCY, self.vacancy_weight, weights)
