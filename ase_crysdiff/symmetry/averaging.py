"""The average over the symmetry operations of many crystals at once, on any device."""

from collections.abc import Sequence

import numpy as np
import torch

from ase_crysdiff.errors import ShapeError
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.symmetry.operations import Operations


class Averaging:
    """What the symmetry of each crystal of a batch leaves of vectors, forces, cells and stresses.

    The same as the methods of `Operations` for one crystal after the other. It is linear, so
    gradients go through it; a crystal whose only operation is the identity is left as it is, to the
    bit. Cartesian quantities need a cell that has the symmetry.

    Args:
        operations: Those of each crystal, in the order of the batch.
        device: Where to compute.
        dtype: In which format.
    """

    def __init__(
        self,
        operations: Sequence[Operations],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        counts = np.array([o.num_atoms for o in operations], dtype=np.int64)
        starts = np.cumsum(counts) - counts
        #: Whether no crystal has any other operation than the identity.
        self.trivial = all(len(o) == 1 for o in operations)
        empty = np.zeros(0, dtype=np.int64)
        blocks = [o.blocks for o in operations]
        moved = [(a + start, b + start) for (a, b, _), start in zip(blocks, starts, strict=True)]
        self._sources = torch.tensor(np.concatenate([empty, *(a for a, _ in moved)]), device=device)
        self._targets = torch.tensor(np.concatenate([empty, *(b for _, b in moved)]), device=device)
        self._blocks = torch.tensor(
            np.concatenate([np.zeros((0, 3, 3)), *(m for _, _, m in blocks)]),
            device=device,
            dtype=dtype,
        )
        forms = np.array([o.gram_matrix for o in operations]).reshape(-1, 9, 9)
        self._forms = torch.tensor(forms, device=device, dtype=dtype)
        self._crystal = segment_index(torch.tensor(counts, device=device))
        self._alone = torch.tensor([len(o) == 1 for o in operations], device=device)

    @property
    def num_atoms(self) -> int:
        """Atoms of all crystals."""
        return len(self._crystal)

    def vectors(self, vectors: Float[Tensor, "atoms 3"]) -> Float[Tensor, "atoms 3"]:
        """The equivariant part of fractional vectors such as displacements or velocities.

        Args:
            vectors: Of all atoms, one crystal after the other.

        Raises:
            ShapeError: If there are more or fewer atoms than the operations permute.
        """
        if len(vectors) != self.num_atoms:
            raise ShapeError(
                f"The operations permute {self.num_atoms} atoms, but there are {len(vectors)} "
                "vectors."
            )
        images = (self._blocks * vectors[self._sources].unsqueeze(-2)).sum(-1)
        return torch.zeros_like(vectors).index_add(0, self._targets, images)

    def cartesian(
        self, vectors: Float[Tensor, "atoms 3"], lattice: Float[Tensor, "crystals 3 3"]
    ) -> Float[Tensor, "atoms 3"]:
        """The equivariant part of Cartesian vectors such as forces.

        Args:
            vectors: Of all atoms.
            lattice: Rows, Å; cells that have the symmetry.
        """
        if self.trivial:
            return vectors
        inverse = torch.linalg.inv_ex(lattice).inverse
        averaged = self.vectors(_times(vectors, inverse[self._crystal]))
        cartesian = _times(averaged, lattice[self._crystal])
        return torch.where(self._alone[self._crystal].unsqueeze(-1), vectors, cartesian)

    def gram(self, gram: Float[Tensor, "crystals 3 3"]) -> Float[Tensor, "crystals 3 3"]:
        """1/|G| Σ RᵀGR of the scalar products of lattice vectors; positive if they are."""
        return _applied(self._forms, gram)

    def stress(
        self, stress: Float[Tensor, "crystals 3 3"], lattice: Float[Tensor, "crystals 3 3"]
    ) -> Float[Tensor, "crystals 3 3"]:
        """The invariant part of Cartesian tensors such as stresses or virials.

        Args:
            stress: One for each crystal.
            lattice: Rows, Å; cells that have the symmetry.
        """
        if self.trivial:
            return stress
        inverse = torch.linalg.inv_ex(lattice).inverse
        tensors = _applied(self._forms.mT, inverse.mT @ stress @ inverse)
        return torch.where(self._alone[:, None, None], stress, lattice.mT @ tensors @ lattice)


def _applied(
    matrices: Float[Tensor, "crystals 9 9"], values: Float[Tensor, "crystals 3 3"]
) -> Float[Tensor, "crystals 3 3"]:
    return (matrices * values.flatten(1).unsqueeze(-2)).sum(-1).unflatten(-1, (3, 3))


def _times(
    rows: Float[Tensor, "atoms 3"], matrices: Float[Tensor, "atoms 3 3"]
) -> Float[Tensor, "atoms 3"]:
    """Each row times its matrix; sums that do not depend on how many rows there are."""
    return (rows.unsqueeze(-1) * matrices).sum(-2)
