"""Crystals with one number each: what property models learn from. Needs torch only."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import ShapeError
from ase_crysdiff.shapes import Float, Int, Tensor


@dataclass(frozen=True)
class LabelledCrystals:
    """A table of a property.

    Args:
        names: One for each crystal, no two alike.
        crystals: In their reduced cells.
        values: In the unit of the property, shape (crystals,).

    Raises:
        ShapeError: If they do not fit together.
    """

    names: tuple[str, ...]
    crystals: CrystalBatch
    values: Float[Tensor, " crystals"]

    def __post_init__(self) -> None:
        if not len(self.names) == len(set(self.names)) == len(self.crystals) == len(self.values):
            raise ShapeError(
                f"There are {len(self.names)} names ({len(set(self.names))} different ones), "
                f"{len(self.crystals)} crystals and "
                f"{len(self.values)} values; each crystal needs one of each."
            )

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: Sequence[int] | Int[Tensor, " chosen"]) -> "LabelledCrystals":
        """The crystals at these positions, in this order."""
        chosen = torch.as_tensor(rows, dtype=torch.long)
        names = tuple(self.names[i] for i in chosen.tolist())
        return LabelledCrystals(names, self.crystals.select(chosen), self.values[chosen])

    @property
    def digest(self) -> str:
        """SHA-256 over names, crystals and values."""
        found = hashlib.sha256("\n".join(self.names).encode())
        crystals = self.crystals
        for part in (crystals.lattice, crystals.frac_coords, crystals.species, crystals.num_atoms):
            found.update(part.cpu().contiguous().numpy().tobytes())
        found.update(self.values.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()
