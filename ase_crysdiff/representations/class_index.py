"""Species as a class index: the atomic number itself, 0 for a vacancy."""

from typing import ClassVar

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import CrystalBatch, Level
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.shapes import Int, Tensor


class ClassIndex(Representation):
    """Atomic numbers 1-99 and the vacancy 0 as 100 classes. Source: Okhotin et al. 2025 (MiAD)."""

    field = "species"
    level: ClassVar[Level] = "atom"
    width = NUM_SPECIES

    def encode(self, batch: CrystalBatch) -> Int[Tensor, " atoms"]:
        return batch.species

    def decode(self, value: Int[Tensor, " atoms"]) -> Int[Tensor, " atoms"]:
        return value
