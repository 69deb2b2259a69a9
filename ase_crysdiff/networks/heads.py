"""Heads: features become predictions."""

from torch import nn

from ase_crysdiff.networks.base import Features, Head
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.representations.lattice_matrix import LatticeMatrix
from ase_crysdiff.shapes import Float, Tensor


class AtomHead(Head):
    """A linear map of every atom's features."""

    def __init__(self, hidden: int, width: int, bias: bool) -> None:
        super().__init__()
        self.linear = Linear(hidden, width, bias=bias)

    def forward(self, features: Features, value: Tensor) -> Float[Tensor, "atoms width"]:
        return self.linear(features.nodes)


class CrystalHead(Head):
    """A linear map of the crystal's features: invariant under rotations of the crystal."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.linear = Linear(hidden, width)

    def forward(self, features: Features, value: Tensor) -> Float[Tensor, "crystals width"]:
        return self.linear(features.crystals)


class LatticeMatrixHead(Head):
    """M L with M from the crystal's features: turns with the crystal, because rotations act from
    the right.

    Source: Jiao et al. 2023 (DiffCSP), equation 13.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = Linear(hidden, 9, bias=False)

    def forward(
        self, features: Features, value: Float[Tensor, "crystals 9"]
    ) -> Float[Tensor, "crystals 9"]:
        matrix = self.linear(features.crystals).unflatten(-1, (3, 3))
        # Written as a sum: batched 3x3 products take another path for a batch of one.
        return (
            (matrix.unsqueeze(-1) * value.unflatten(-1, (3, 3)).unsqueeze(-3)).sum(-2).flatten(-2)
        )


def head_for(representation: Representation, hidden: int) -> nn.Module:
    """The head that fits a representation."""
    if isinstance(representation, LatticeMatrix):
        return LatticeMatrixHead(hidden)
    if representation.level == "crystal":
        return CrystalHead(hidden, representation.width)
    return AtomHead(hidden, representation.width, bias=representation.field == "species")
