"""A vector for each building block, from its atoms."""

import torch
from torch import nn

from ase_crysdiff.frameworks.batch import Blocks
from ase_crysdiff.geometry.pairs import all_pairs
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.networks.element_properties import covalent_radii, descriptors
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.shapes import Float, Tensor

#: Atoms of a block are bonded up to this multiple of the sum of their covalent radii.
_BOND = 1.25
#: Å; coordinates in a block's frame are divided by it.
_LENGTH = 4.0


class BlockEncoder(nn.Module):
    """Elements and bonds of atoms, then their places in the frame of the block, added up.

    Args:
        hidden: Width of the result.
        atoms: Width of the vectors of atoms.
        weights: Weights per atom, which edges of the network read the block's density with.

    Source: Kim et al. 2025 (MOFFlow), whose encoder is equivariant; here the frame takes its part.
    """

    elements: Tensor
    radii: Tensor

    def __init__(self, hidden: int, atoms: int, weights: int) -> None:
        super().__init__()
        self.register_buffer("elements", descriptors(), persistent=False)
        self.register_buffer("radii", covalent_radii(torch.float32), persistent=False)
        width = self.elements.shape[1]
        self.first = Linear(2 * width + 1, atoms)
        self.second = Linear(2 * atoms, atoms)
        self.weigh = Linear(atoms, weights)
        self.place = nn.Sequential(
            Linear(atoms + 4, 2 * atoms), nn.SiLU(), Linear(2 * atoms, 2 * atoms)
        )
        self.out = nn.Sequential(Linear(4 * atoms + 2, hidden), nn.SiLU(), Linear(hidden, hidden))

    def forward(
        self, blocks: Blocks
    ) -> tuple[Float[Tensor, "bodies hidden"], Float[Tensor, "atoms weights"]]:
        """Vectors of blocks, and weights of atoms."""
        species, positions = blocks.block_species, blocks.block_positions
        counts = blocks.block_atoms
        first, second = self._bonds(blocks)
        elements = self.elements[species]
        degree = elements.new_zeros(len(species)).index_add(0, first, elements.new_ones(len(first)))
        around = torch.zeros_like(elements).index_add(0, first, elements[second])
        x = nn.functional.silu(
            self.first(torch.cat([elements, around, degree.unsqueeze(-1) / 4], -1))
        )
        around = torch.zeros_like(x).index_add(0, first, x[second])
        x = x + nn.functional.silu(self.second(torch.cat([x, around], -1)))
        y = positions / _LENGTH
        size = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
        placed = self.place(torch.cat([x, y, size], -1))
        body = segment_index(counts)
        total = placed.new_zeros(len(counts), placed.shape[1]).index_add(0, body, placed)
        peak = torch.full_like(total, -torch.inf).scatter_reduce(
            0, body.unsqueeze(-1).expand_as(placed), placed, "amax"
        )
        number = counts.to(total.dtype).unsqueeze(-1)
        about = torch.cat([number.log() / 3, (number == 1).to(total.dtype)], -1)
        return self.out(torch.cat([total / number.sqrt() / 3, peak, about], -1)), self.weigh(x)

    def _bonds(self, blocks: Blocks) -> tuple[Tensor, Tensor]:
        """Ordered pairs of bonded atoms of the same block."""
        pairs = all_pairs(blocks.block_atoms)
        x, radii = blocks.block_positions, self.radii[blocks.block_species]
        squares = (x[pairs.first] - x[pairs.second]).square().sum(-1)
        limits = _BOND * (radii[pairs.first] + radii[pairs.second])
        near = torch.nonzero((squares < limits.square()) & (pairs.first != pairs.second)).flatten()
        i, j = pairs.first[near], pairs.second[near]
        return torch.cat([i, j]), torch.cat([j, i])
