"""Fractional coordinates on the unit torus."""

from typing import ClassVar

from ase_crysdiff.crystal.batch import CrystalBatch, Level
from ase_crysdiff.geometry.torus import wrap
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.shapes import Float, Tensor


class FracCoords(Representation):
    """Fractional coordinates, three numbers in [0, 1) per atom."""

    field = "frac_coords"
    level: ClassVar[Level] = "atom"
    width = 3
    data_variance = 1 / 12  # uniform in the cell

    def encode(self, batch: CrystalBatch) -> Float[Tensor, "atoms 3"]:
        return wrap(batch.frac_coords)

    def decode(self, value: Float[Tensor, "atoms 3"]) -> Float[Tensor, "atoms 3"]:
        return wrap(value)
