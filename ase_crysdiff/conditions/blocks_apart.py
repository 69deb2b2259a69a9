"""Keeps rigid blocks apart."""

from dataclasses import dataclass

import torch

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Condition, Context, Denoise
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.frameworks.batch import Blocks
from ase_crysdiff.geometry import rotations as turning
from ase_crysdiff.geometry.pairs import all_pairs
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Float, Int, Tensor


@dataclass(frozen=True)
class BlocksApart(Condition):
    """Pushes and turns blocks of the clean estimate until their atoms are no closer than a share of
    the sum of the covalent radii.

    Each sweep asks of both atoms of every pair that is too close, and of different blocks, half of
    what is missing, as position-based dynamics does (Müller et al. 2007); a block follows its atoms
    by the mean of what they are asked and by the turn that does most for them. Images are the
    nearest ones by rounding. A block cannot be moved away from its own images.

    Args:
        fraction: Share of the sum of covalent radii (Cordero et al. 2008).
        window: Largest time at which it acts; earlier the estimate of the places means nothing.
        sweeps: Passes over all pairs per step.

    Raises:
        InputError: If a number makes no sense.
    """

    fraction: float
    window: float = 0.3
    sweeps: int = 3

    def __post_init__(self) -> None:
        arguments.above_zero("fraction", self.fraction)
        arguments.not_negative("window", self.window)
        arguments.positive("sweeps", self.sweeps)

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        cell = joint.components["lattice"].representation

        def apart(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            if t > self.window:
                return prediction
            lattice = cell.decode(joint.clean("lattice", state, prediction, t, layout))
            places = {
                name: joint.clean(name, state, prediction, t, layout)
                for name in ("centres", "rotations")
            }
            contacts = _Contacts.of(Blocks.of_context(context), self.fraction)
            for _ in range(self.sweeps):
                places["centres"], places["rotations"] = contacts.relieved(
                    places["centres"], places["rotations"], lattice
                )
            moved = {
                name: joint.from_clean(name, state, value, t, layout)
                for name, value in places.items()
            }
            return {**prediction, **moved}

        return apart


@dataclass(frozen=True)
class _Contacts:
    """Pairs of atoms of different blocks, and how far they have to be apart, Å."""

    blocks: Blocks
    first: Int[Tensor, " pairs"]
    second: Int[Tensor, " pairs"]
    wanted: Float[Tensor, " pairs"]
    body: Int[Tensor, " atoms"]

    @staticmethod
    def of(blocks: Blocks, fraction: float) -> "_Contacts":
        pairs = all_pairs(blocks.atoms_per_crystal)
        body = segment_index(blocks.block_atoms)
        others = torch.nonzero(body[pairs.first] != body[pairs.second]).flatten()
        first, second = pairs.first[others], pairs.second[others]
        radii = fraction * covalent_radii(blocks.block_positions.dtype).to(body.device)
        radii = radii[blocks.block_species]
        return _Contacts(blocks, first, second, radii[first] + radii[second], body)

    def relieved(
        self,
        centres: Float[Tensor, "bodies 3"],
        rotations: Float[Tensor, "bodies 4"],
        lattice: Float[Tensor, "crystals 3 3"],
    ) -> tuple[Float[Tensor, "bodies 3"], Float[Tensor, "bodies 4"]]:
        """Centres and rotations after one pass over all pairs."""
        placed = self.blocks.placed(lattice, centres, rotations).frac_coords
        crystal = segment_index(self.blocks.num_blocks)
        rows = lattice[crystal][self.body[self.first]]
        way = shortest_image(placed[self.second] - placed[self.first])
        vectors = (way.unsqueeze(-1) * rows).sum(-2)
        distances = torch.linalg.vector_norm(vectors, dim=-1)
        near = torch.nonzero(distances < self.wanted).flatten()
        missing = (self.wanted - distances)[near] / distances[near].clamp_min(1e-3)
        push = 0.5 * missing.unsqueeze(-1) * vectors[near]
        asked = torch.zeros_like(placed).index_add(0, self.second[near], push)
        asked = asked.index_add(0, self.first[near], -push)
        touched = asked.new_zeros(len(asked))
        touched[self.first[near]] = 1.0
        touched[self.second[near]] = 1.0
        turns = turning.to_matrix(rotations)[self.body]
        arms = (turns * self.blocks.block_positions.unsqueeze(-2)).sum(-1)
        count = self._by_block(touched).clamp_min(1.0)
        shift = self._by_block(asked) / count.unsqueeze(-1)
        torque = self._by_block(torch.linalg.cross(arms, asked))
        inertia = self._by_block(touched * arms.square().sum(-1)).clamp_min(1.0)
        turn = turning.exp(torque / inertia.unsqueeze(-1))
        inverse = torch.linalg.inv(lattice)[crystal]
        moved = centres + (shift.unsqueeze(-1) * inverse).sum(-2)
        return wrap(moved), turning.canonical(turning.multiply(turn, rotations))

    def _by_block(self, rows: Tensor) -> Tensor:
        """Sums over the atoms of each block."""
        sums = rows.new_zeros(len(self.blocks.block_atoms), *rows.shape[1:])
        return sums.index_add(0, self.body, rows)
