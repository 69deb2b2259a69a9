"""Labelled crystals as a training set of energies at fixed composition."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.state_space import StateSpace
from ase_crysdiff.data.buckets import BucketedCrystals
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.geometry.lattice import from_parameters, to_parameters
from ase_crysdiff.shapes import Float, Int, Tensor

#: Name of the energies among the values of the packed crystals.
ABOVE_LOWEST = "energy_above_lowest"


def energy_crystals(labels: Labels, limit: float) -> PackedCrystals:
    """Labels as crystals with their energy per atom above the lowest label of the same reduced
    composition.

    Energy above the hull differs from this by a number that depends on the composition only, so
    gradients are the same, and no hull is needed. A composition with a single label has nothing to
    compare it with and is left out, as are energies beyond the limit.

    Cells stay as they are, turned to the orientation of the samplers' training data. Strained
    copies of a Niggli cell may be no Niggli cells any more; they are not reduced again, because
    noisy states of a sampler are cells near a Niggli cell in just this sense, and because reduction
    jumps between cells that hardly differ.

    Args:
        labels: Energies of crystals and of their copies.
        limit: Largest energy above the lowest one, eV/atom.
    """
    c = labels.configurations
    per_atom = labels.energy.double() / c.num_atoms
    group = compositions(c.species, c.num_atoms)
    sizes = torch.bincount(group)
    lowest = torch.full((len(sizes),), torch.inf, dtype=torch.float64).scatter_reduce(
        0, group, per_atom, "amin"
    )
    above = per_atom - lowest[group]
    frac_coords = torch.linalg.solve(
        c.cells[c.index], c.positions.unsqueeze(1), left=False
    ).squeeze(1)
    crystals = CrystalBatch(
        from_parameters(*to_parameters(c.cells)), frac_coords, c.species, c.num_atoms
    )
    packed = PackedCrystals(crystals, {ABOVE_LOWEST: above.float()}, labels.metadata)
    return packed.select((sizes[group] > 1) & (above <= limit))


def compositions(
    species: Int[Tensor, " atoms"], num_atoms: Int[Tensor, " crystals"]
) -> Int[Tensor, " crystals"]:
    """The number of each crystal's reduced composition: crystals that share one share a number.

    Args:
        species: Atomic numbers of all crystals, one crystal after the other.
        num_atoms: Atoms of each crystal.

    Returns:
        Numbers from 0 to the count of different compositions less one.
    """
    index = torch.repeat_interleave(torch.arange(len(num_atoms)), num_atoms)
    counts = torch.zeros(len(num_atoms), NUM_SPECIES, dtype=torch.long)
    counts.index_put_((index, species), torch.ones_like(species), accumulate=True)
    reduced = counts // reduce(torch.gcd, counts.unbind(1))[:, None]
    found: Tensor = torch.unique(reduced, dim=0, return_inverse=True)[1]
    return found


@dataclass(frozen=True)
class EnergyBatch:
    """What a step of training reads.

    Args:
        crystals: Of one size.
        energy: Above the lowest of the composition, eV/atom, shape (crystals,).
    """

    crystals: CrystalBatch
    energy: Float[Tensor, " crystals"]

    def __len__(self) -> int:
        return len(self.crystals)


class EnergyCrystals:
    """Batches of equally large crystals with their energies.

    Args:
        labels: All of them.
        limit: Largest energy above the lowest of the composition, eV/atom; what lies above is left
            out.
        space: State space of the model.
        batch_size: Crystals per batch.
        max_pairs: Batches of large crystals are made smaller, so that they have at most this many
            pairs of atoms.
        device: Where the tensors live.
    """

    def __init__(
        self,
        labels: Labels,
        limit: float,
        space: StateSpace,
        batch_size: int,
        max_pairs: int,
        device: torch.device,
    ) -> None:
        packed = energy_crystals(labels, limit)
        packed = packed.select(packed.batch.num_atoms <= space.max_atoms)
        self.left_out = len(labels) - len(packed)
        self.energy = packed.values[ABOVE_LOWEST].to(device)
        self.crystals = BucketedCrystals(packed, space, batch_size, max_pairs, device)

    def __len__(self) -> int:
        return len(self.crystals)

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[EnergyBatch]:
        """The batches of one epoch, a pure function of the arguments."""
        for bucket, rows in self.crystals.plan(seed, epoch, rank, world_size):
            yield EnergyBatch(bucket.batch(rows), self.energy[bucket.members[rows]])

    def everything(self) -> Iterator[EnergyBatch]:
        """Every crystal once, for validation."""
        for bucket, rows in self.crystals.in_order():
            yield EnergyBatch(bucket.batch(rows), self.energy[bucket.members[rows]])
