"""The state space of molecules: no cell, and no place in space that is any better than others."""

from dataclasses import replace

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.state_space import IdentitySpace
from ase_crysdiff.shapes import Float, Int, Tensor


class MoleculeSpace(IdentitySpace):
    """Molecules as they are, with their centre at the origin.

    A molecule stands in a `CrystalBatch` whose lattice vectors are the axes of space, 1 Å each, so
    that its fractional coordinates are its places in Å; nothing ever wraps them. Beliefs are not
    kept at the origin while they are drawn: the network reads differences of places only, and its
    predictions have no mean, so that the law of the differences is that of the subspace.

    Args:
        max_atoms: Largest molecule that the model was trained on.
    """

    def decode(self, batch: CrystalBatch) -> CrystalBatch:
        if not len(batch):
            return batch
        ordered, order = batch.sorted()
        centred = replace(ordered, frac_coords=ordered.layout.centred(ordered.frac_coords))
        return centred.select(torch.argsort(order))


def molecules(
    positions: Float[Tensor, "atoms 3"],
    species: Int[Tensor, " atoms"],
    num_atoms: Int[Tensor, " molecules"],
) -> CrystalBatch:
    """Molecules as a batch, see `MoleculeSpace`.

    Args:
        positions: Å.
        species: Atomic numbers.
        num_atoms: Of each molecule.
    """
    return CrystalBatch(axes(len(num_atoms), positions), positions, species, num_atoms)


def axes(count: int, like: Tensor) -> Float[Tensor, "molecules 3 3"]:
    """The lattice that stands for none."""
    return torch.eye(3, dtype=like.dtype, device=like.device).repeat(count, 1, 1)
