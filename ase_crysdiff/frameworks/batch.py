"""Many frameworks as tensors: blocks in their own frames, and where they lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from ase_crysdiff.crystal.batch import CrystalBatch, Layout, rows_of
from ase_crysdiff.frameworks.blocks import BuildingBlock, Framework
from ase_crysdiff.geometry import rotations as turning
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.geometry.torus import wrap
from ase_crysdiff.shapes import Float, Int, Tensor


@dataclass(frozen=True)
class Blocks:
    """Rigid blocks in frames of their own, without places: what is given for assembly.

    Args:
        block_species: Atomic numbers of the atoms of all blocks, shape (atoms,).
        block_positions: Å, in the frame of their block, shape (atoms, 3).
        block_atoms: Atoms of each block, shape (blocks,).
        block_kinds: Of each block the place, in its crystal, of the first one like it.
        num_blocks: Blocks of each crystal, shape (crystals,).
    """

    block_species: Int[Tensor, " atoms"]
    block_positions: Float[Tensor, "atoms 3"]
    block_atoms: Int[Tensor, " bodies"]
    block_kinds: Int[Tensor, " bodies"]
    num_blocks: Int[Tensor, " crystals"]

    def __len__(self) -> int:
        return len(self.num_blocks)

    @staticmethod
    def of(crystals: Sequence[tuple[Sequence[BuildingBlock], Sequence[int]]]) -> "Blocks":
        """The blocks of crystals, each with the place of the first one like it."""
        every = [block for blocks, _ in crystals for block in blocks]
        return Blocks(
            torch.tensor(np.concatenate([b.species for b in every]), dtype=torch.long),
            torch.tensor(np.concatenate([b.positions for b in every]), dtype=torch.float32),
            torch.tensor([len(b) for b in every]),
            torch.tensor([int(k) for _, kinds in crystals for k in kinds]),
            torch.tensor([len(blocks) for blocks, _ in crystals]),
        )

    @property
    def atoms_per_crystal(self) -> Int[Tensor, " crystals"]:
        """Atoms of each crystal."""
        owner = segment_index(self.num_blocks)
        return self.block_atoms.new_zeros(len(self)).index_add(0, owner, self.block_atoms)

    def layout(self, dtype: torch.dtype = torch.float32) -> Layout:
        """Where atoms and blocks are. Crystals must be in order of their atoms."""
        return Layout(
            tuple(self.atoms_per_crystal.tolist()),
            self.block_positions.device,
            dtype,
            bodies=tuple(self.num_blocks.tolist()),
        )

    def select(self, crystals: Int[Tensor, " chosen"]) -> "Blocks":
        """The blocks of the crystals at these positions, in this order."""
        chosen, bodies = rows_of(self.num_blocks, crystals)
        _, atoms = rows_of(self.block_atoms, bodies)
        return Blocks(
            self.block_species[atoms],
            self.block_positions[atoms],
            self.block_atoms[bodies],
            self.block_kinds[bodies],
            self.num_blocks[chosen],
        )

    def to(self, device: torch.device | None) -> "Blocks":
        """The blocks on a device."""
        return Blocks(**{name: tensor.to(device) for name, tensor in self.context().items()})

    def context(self) -> dict[str, Tensor]:
        """The tensors by name, as networks are given them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def of_context(context: Mapping[str, Tensor]) -> "Blocks":
        """What `context` was made from."""
        return Blocks(*(context[f.name] for f in fields(Blocks)))

    def placed(
        self,
        lattice: Float[Tensor, "crystals 3 3"],
        centres: Float[Tensor, "bodies 3"],
        rotations: Float[Tensor, "bodies 4"],
    ) -> CrystalBatch:
        """The crystals, block after block.

        Args:
            lattice: Rows in Å.
            centres: Fractional coordinates of the blocks' centres.
            rotations: Of the blocks, as quaternions.
        """
        body = segment_index(self.block_atoms)
        crystal = segment_index(self.num_blocks)[body]
        turns = turning.to_matrix(rotations)[body]
        # Sums of products, not small matrix products, which take another path for one alone.
        away = (turns * self.block_positions.unsqueeze(-2)).sum(-1)
        inverse = torch.linalg.inv(lattice)[crystal]
        frac = centres[body] + (away.unsqueeze(-1) * inverse).sum(-2)
        return CrystalBatch(lattice, wrap(frac), self.block_species, self.atoms_per_crystal)


@dataclass(frozen=True)
class FrameworkBatch(CrystalBatch):
    """Crystals whose atoms, block after block, belong to rigid blocks.

    Args:
        blocks: In frames of their own.
        centres: Fractional coordinates of the centres, shape (bodies, 3).
        rotations: Quaternions, shape (bodies, 4).
        symmetries: Rotations that map blocks onto themselves, those of one after those of the
            other, shape (symmetries, 4).
        num_symmetries: How many each block has, shape (bodies,).
    """

    blocks: Blocks
    centres: Float[Tensor, "bodies 3"]
    rotations: Float[Tensor, "bodies 4"]
    symmetries: Float[Tensor, "symmetries 4"]
    num_symmetries: Int[Tensor, " bodies"]

    @staticmethod
    def place(
        blocks: Blocks,
        lattice: Float[Tensor, "crystals 3 3"],
        centres: Float[Tensor, "bodies 3"],
        rotations: Float[Tensor, "bodies 4"],
        symmetries: Float[Tensor, "symmetries 4"],
        num_symmetries: Int[Tensor, " bodies"],
    ) -> "FrameworkBatch":
        """Blocks at places; the arguments are the fields."""
        plain = blocks.placed(lattice, centres, rotations)
        return FrameworkBatch(
            plain.lattice,
            plain.frac_coords,
            plain.species,
            plain.num_atoms,
            blocks,
            centres,
            rotations,
            symmetries,
            num_symmetries,
        )

    @staticmethod
    def of(frameworks: Sequence[Framework]) -> "FrameworkBatch":
        """Frameworks, each turned so that the matrix of its lattice is symmetric: the orientation
        in which `LatticePolar` gives lattices.
        """
        lattices, centres, turns = [], [], []
        for one in frameworks:
            flip = np.sign(np.linalg.det(one.lattice))
            rows = flip * one.lattice
            u, sizes, v = np.linalg.svd(rows)
            symmetric, turn = (u * sizes) @ u.T, u @ v
            lattices.append(symmetric)
            centres.append((flip * one.centres) % 1.0)
            turns.append(turn @ one.rotations)
        ways = [way for one in frameworks for way in one.symmetries]
        return FrameworkBatch.place(
            Blocks.of([(one.blocks, one.kinds.tolist()) for one in frameworks]),
            torch.tensor(np.array(lattices), dtype=torch.float32),
            torch.tensor(np.concatenate(centres), dtype=torch.float32),
            turning.from_matrix(torch.tensor(np.concatenate(turns))).float(),
            turning.from_matrix(torch.tensor(np.concatenate(ways))).float(),
            torch.tensor([len(way) for way in ways]),
        )

    def select(self, crystals: Sequence[int] | Int[Tensor, " chosen"]) -> "FrameworkBatch":
        chosen, bodies = rows_of(self.blocks.num_blocks, crystals)
        _, ways = rows_of(self.num_symmetries, bodies)
        return FrameworkBatch.place(
            self.blocks.select(chosen),
            self.lattice[chosen],
            self.centres[bodies],
            self.rotations[bodies],
            self.symmetries[ways],
            self.num_symmetries[bodies],
        )

    def to(
        self, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> "FrameworkBatch":
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "blocks"}
        moved = {
            name: x.to(device, dtype) if x.is_floating_point() else x.to(device)
            for name, x in rest.items()
        }
        return FrameworkBatch(**moved, blocks=self.blocks.to(device))
