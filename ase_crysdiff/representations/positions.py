"""Places of atoms in open space."""

from typing import ClassVar

from ase_crysdiff import arguments
from ase_crysdiff.crystal.batch import CrystalBatch, Level
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.shapes import Float, Tensor


class Positions(Representation):
    """Cartesian coordinates of molecules, of which a batch holds those in Å as fractional
    coordinates (`crystal.molecule_space`).

    Args:
        scale: Å for one unit: their standard deviation in training.
    """

    field = "frac_coords"
    level: ClassVar[Level] = "atom"
    width = 3

    def __init__(self, scale: float) -> None:
        self.scale = arguments.above_zero("scale", scale)

    def encode(self, batch: CrystalBatch) -> Float[Tensor, "atoms 3"]:
        return batch.frac_coords / self.scale

    def decode(self, value: Float[Tensor, "atoms 3"]) -> Float[Tensor, "atoms 3"]:
        return value * self.scale
