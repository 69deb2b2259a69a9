"""The systems that are under way."""

from dataclasses import dataclass, fields, replace

import torch

from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.relaxation.base import regrouped
from ase_crysdiff.relaxation.frechet import CELL_ROWS, FrechetRows
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

_WITH_ROWS = ("rows", "best_rows")


@dataclass(frozen=True)
class Batch:
    """Where the systems of a batch are, and where each was best.

    Args:
        systems: The systems as they are now, float64.
        ids: Their positions in the list of all systems.
        first_cells: Their cells at the start, Å.
        steps: Steps that they have taken.
        first_energy: Energy at the start, eV; NaN before it is known.
        rows: What is minimised over: those of the cell, then those of the atoms (`FrechetRows`).
        best_rows: Rows where the forces were smallest.
        best_energy: Energy there, eV; NaN if no evaluation has succeeded.
        best_fmax: Largest force there, eV/Å; infinite if no evaluation has succeeded.
    """

    systems: Configurations
    ids: Int[Tensor, " systems"]
    first_cells: Float[Tensor, "systems 3 3"]
    steps: Int[Tensor, " systems"]
    first_energy: Float[Tensor, " systems"]
    rows: Float[Tensor, "systems rows 3"]
    best_rows: Float[Tensor, "systems rows 3"]
    best_energy: Float[Tensor, " systems"]
    best_fmax: Float[Tensor, " systems"]

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def start(everything: Configurations, chosen: list[int]) -> "Batch":
        """These systems, before their first evaluation."""
        systems = everything.select(chosen)
        count, like = len(systems), systems.cells
        rows = FrechetRows(systems.cells, systems.num_atoms, relax_cell=False).start(
            systems.positions
        )
        nan, inf = like.new_full((count,), torch.nan), like.new_full((count,), torch.inf)
        ids = torch.tensor(chosen, dtype=torch.long, device=like.device)
        return Batch(systems, ids, systems.cells, torch.zeros_like(ids), nan, rows, rows, nan, inf)

    def regroup(self, kept: Int[Tensor, " kept"], new: "Batch | None") -> "Batch":
        """Some of the systems, then new ones, with as many rows as the largest needs."""
        part = self.systems.select(kept)
        parts = [part] if new is None else [part, new.systems]
        systems = Configurations.cat(parts)
        num_rows = CELL_ROWS + (int(systems.num_atoms.max()) if len(systems) else 0)
        values: dict[str, Tensor] = {}
        for name in (f.name for f in fields(self) if f.name != "systems"):
            size = num_rows if name in _WITH_ROWS else None
            both = [regrouped(getattr(self, name), kept, 0, size)]
            if new is not None:
                both.append(
                    regrouped(
                        getattr(new, name), torch.arange(len(new), device=kept.device), 0, size
                    )
                )
            values[name] = torch.cat(both)
        return Batch(systems, **values)

    def evaluated(
        self,
        energy: Float[Tensor, " systems"],
        fmax: Float[Tensor, " systems"],
        is_sound: Bool[Tensor, " systems"],
    ) -> "Batch":
        """The batch with what an evaluation brought: energies, and the best point so far."""
        better = is_sound & (fmax < self.best_fmax)
        return replace(
            self,
            first_energy=torch.where(self.steps == 0, energy, self.first_energy),
            best_rows=torch.where(better[:, None, None], self.rows, self.best_rows),
            best_energy=torch.where(better, energy, self.best_energy),
            best_fmax=torch.where(better, fmax, self.best_fmax),
        )

    def moved(self, way: Float[Tensor, "systems rows 3"], layout: FrechetRows) -> "Batch":
        """The batch one step further."""
        rows = self.rows + way
        return replace(
            self, rows=rows, steps=self.steps + 1, systems=layout.place(rows, self.systems)
        )
