"""How a field of a crystal becomes the numbers that a process acts on."""

from abc import ABC, abstractmethod
from typing import ClassVar

from ase_crysdiff.crystal.batch import CrystalBatch, Level
from ase_crysdiff.shapes import Float, Tensor


class Representation(ABC):
    """A field of a crystal as a tensor with one row per crystal or per atom.

    Attributes:
        field: The field of `CrystalBatch` that it stands for.
        level: Whether its rows are crystals, atoms or free numbers of sites.
        width: Numbers per row; for a class index, the number of classes.
    """

    field: ClassVar[str]
    level: ClassVar[Level]
    width: int
    #: Variance of the data along each number; guidance weighs moves of an estimate with it.
    data_variance: float = 1.0

    @abstractmethod
    def encode(self, batch: CrystalBatch) -> Tensor:
        """The field as numbers, shape (rows, width) or (rows,) for a class index."""

    @abstractmethod
    def decode(self, value: Tensor) -> Tensor:
        """The field of the batch that these numbers stand for."""


class LatticeRepresentation(Representation):
    """A lattice as numbers, with the part of them that a rotation of the crystal leaves alone."""

    field = "lattice"
    level: ClassVar[Level] = "crystal"
    num_invariants: int

    @abstractmethod
    def invariants(
        self, value: Float[Tensor, "crystals width"]
    ) -> Float[Tensor, "crystals invariants"]:
        """What a network may read: unchanged by rotations and reflections of the crystal."""
