"""The nine entries of the lattice matrix in Å."""

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry import lattice as geometry
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.shapes import Float, Tensor


class LatticeMatrix(LatticeRepresentation):
    """Lattice rows, raw and unscaled. Source: Jiao et al. 2023 (DiffCSP)."""

    width = 9
    num_invariants = 9
    data_variance = 4.0  # Å² for the entries of the lattice matrix

    def encode(self, batch: CrystalBatch) -> Float[Tensor, "crystals 9"]:
        return batch.lattice.flatten(1)

    def decode(self, value: Float[Tensor, "crystals 9"]) -> Float[Tensor, "crystals 3 3"]:
        return value.unflatten(1, (3, 3))

    def invariants(self, value: Float[Tensor, "crystals 9"]) -> Float[Tensor, "crystals 9"]:
        return geometry.gram(value.unflatten(1, (3, 3))).flatten(1)
