"""Places of rigid bodies: of their centres, and how they are turned."""

from typing import ClassVar

from ase_crysdiff.crystal.batch import CrystalBatch, Level
from ase_crysdiff.frameworks.batch import FrameworkBatch
from ase_crysdiff.geometry import rotations
from ase_crysdiff.geometry.torus import wrap
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.shapes import Float, Tensor


class BodyCentres(Representation):
    """Fractional coordinates of the centres, three numbers in [0, 1) per body."""

    field = "centres"
    level: ClassVar[Level] = "body"
    width = 3
    data_variance = 1 / 12  # uniform in the cell

    def encode(self, batch: CrystalBatch) -> Float[Tensor, "bodies 3"]:
        assert isinstance(batch, FrameworkBatch)
        return wrap(batch.centres)

    def decode(self, value: Float[Tensor, "bodies 3"]) -> Float[Tensor, "bodies 3"]:
        return wrap(value)


class BodyRotations(Representation):
    """Unit quaternions with w ≥ 0, four numbers per body."""

    field = "rotations"
    level: ClassVar[Level] = "body"
    width = 4

    def encode(self, batch: CrystalBatch) -> Float[Tensor, "bodies 4"]:
        assert isinstance(batch, FrameworkBatch)
        return rotations.canonical(batch.rotations)

    def decode(self, value: Float[Tensor, "bodies 4"]) -> Float[Tensor, "bodies 4"]:
        return rotations.canonical(value)
