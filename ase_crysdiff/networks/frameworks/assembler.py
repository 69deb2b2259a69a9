"""Where rigid blocks belong: a network on blocks and their periodic images.

Everything that it reads is seen from the frame of a block, and what it says of places is built from
directions of frames, images and cell vectors: when the crystal is turned, the answer turns with it.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.frameworks.batch import Blocks
from ase_crysdiff.geometry import rotations as turning
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.networks.base import Context
from ase_crysdiff.networks.embeddings import time_embedding
from ase_crysdiff.networks.frameworks.block_encoder import BlockEncoder
from ase_crysdiff.networks.frameworks.images import Images, nearest_images
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.radial import gaussians
from ase_crysdiff.processes.joint import NoisyState
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.shapes import Float, Tensor

#: Å; lengths that networks read are divided by it.
_LENGTH = 8.0
_TIME, _DISTANCES = 32, 12
#: Widths of the Gaussians with which a block's atoms are seen from a point, Å.
_DENSITIES = (1.0, 2.5)
#: Vectors that each block is told to move by and turn to: its shift, and two axes.
_VECTORS = 3


class Estimates(NamedTuple):
    """What the network says of the clean crystal.

    Args:
        lattice: The numbers of its lattice, shape (crystals, numbers).
        shifts: How far the blocks' centres have to move, Å, without their mean, shape (bodies, 3).
        rotations: Of the blocks, as matrices, shape (bodies, 3, 3).
    """

    lattice: Float[Tensor, "crystals numbers"]
    shifts: Float[Tensor, "bodies 3"]
    rotations: Float[Tensor, "bodies 3 3"]


class Assembler(nn.Module):
    """Rounds of messages between the nearest images of blocks, and a vector per crystal.

    Args:
        lattice: How the lattice is written.
        hidden: Width of blocks and crystals.
        edges: Width of what is read of a pair.
        layers: Rounds.
        images: Images that each block sees.
        atoms: Width of atoms in the blocks' encoder.
        densities: Kinds of atoms by which blocks are seen from a point.

    Source: Kim et al. 2025 (MOFFlow) for the task; the network is ours.
    """

    def __init__(
        self,
        lattice: LatticeRepresentation,
        hidden: int = 80,
        edges: int = 48,
        layers: int = 3,
        images: int = 12,
        atoms: int = 40,
        densities: int = 4,
    ) -> None:
        super().__init__()
        self.lattice, self.images = lattice, images
        numbers = lattice.num_invariants
        self.encoder = BlockEncoder(hidden, atoms, densities)
        self.stem = Linear(hidden + numbers + _TIME + 2 + 9, hidden)
        width = 3 + 3 + 9 + _DISTANCES + 1 + 2 * densities * len(_DENSITIES)
        self.pair = nn.Sequential(Linear(width, edges), nn.SiLU(), Linear(edges, edges))
        self.rounds = nn.ModuleList(_Round(hidden, edges) for _ in range(layers))
        self.pair_vectors = _Message(hidden, edges, (3 + 1) * _VECTORS)
        self.own_vectors = Linear(hidden, (3 + 3) * _VECTORS)
        self.cell = nn.Sequential(
            Linear(hidden + numbers + _TIME, hidden), nn.SiLU(), Linear(hidden, lattice.width)
        )

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> Estimates:
        """Estimates for a noisy state of `RigidProcess`.

        Args:
            state: Lattice, centres and rotations.
            t: Time of each crystal.
            context: `Blocks.context`.
            layout: Of the blocks.
        """
        blocks = Blocks.of_context(context)
        cells = self.lattice.decode(state["lattice"])
        frames = turning.to_matrix(state["rotations"])
        # A block of one atom has no frame: it sees none, and others see none of it.
        single = blocks.block_atoms == 1
        frames = frames.masked_fill(single.view(-1, 1, 1), 0.0)
        crystal = layout.index("body")
        with torch.no_grad():
            images = nearest_images(state["centres"], cells, blocks.num_blocks, self.images)
        rows = cells[crystal]
        seen = (rows.unsqueeze(-1) * frames.unsqueeze(-3)).sum(-2).flatten(-2) / (2 * _LENGTH)
        encoded, weights = self.encoder(blocks)
        numbers, times = self.lattice.invariants(state["lattice"]), time_embedding(t, _TIME)
        known = torch.cat([numbers, times, self._sizes(blocks, cells)], -1)
        h = self.stem(torch.cat([encoded, known[crystal], seen], -1))
        edges = self.pair(self._pairs(blocks, images, frames, weights))
        counts = blocks.num_blocks.to(h.dtype).unsqueeze(-1)
        for one in self.rounds:
            h = one(h, edges, images, crystal, counts)
        vectors = self._vectors(h, edges, images, frames, rows)
        pooled = h.new_zeros(len(counts), h.shape[1]).index_add(0, crystal, h) / counts
        change = self.cell(torch.cat([pooled, numbers, times], -1))
        # The best guess of a network that sees nothing but the noisy numbers, and a change of it in
        # units of what that leaves open.
        share = t.unsqueeze(-1)
        power = (1 - share).square() + share.square()
        lattice = (1 - share) / power * state["lattice"] + share / power.sqrt() * change
        shifts, first, second = (vectors[:, k] for k in range(_VECTORS))
        shifts = _LENGTH * shifts
        mean = shifts.new_zeros(len(counts), 3).index_add(0, crystal, shifts) / counts
        axes = turning.to_matrix(state["rotations"])
        found = turning.from_two_vectors(first + axes[..., 0], second + axes[..., 1])
        return Estimates(lattice, shifts - mean[crystal], found)

    def _sizes(self, blocks: Blocks, cells: Tensor) -> Float[Tensor, "crystals 2"]:
        """Numbers of blocks and of atoms, on a logarithmic scale."""
        counts = torch.stack([blocks.num_blocks, blocks.atoms_per_crystal], -1).to(cells.dtype)
        return counts.log() / 3 - 1

    def _pairs(
        self, blocks: Blocks, images: Images, frames: Tensor, weights: Tensor
    ) -> Float[Tensor, "bodies count features"]:
        """What a block and an image look like from each other."""
        r, others = images.vectors, images.senders
        mine = _turned(frames.unsqueeze(1), r)
        theirs = _turned(frames[others], -r)
        relative = (frames.unsqueeze(1).unsqueeze(-1) * frames[others].unsqueeze(-2)).sum(-3)
        distance = torch.linalg.vector_norm(r, dim=-1)
        radial = gaussians(distance.flatten(), 0.0, 20.0, _DISTANCES).unflatten(0, distance.shape)
        seen = self._density(blocks, torch.arange(len(frames), device=r.device), mine, weights)
        shown = self._density(blocks, others.flatten(), theirs.flatten(0, 1).unsqueeze(1), weights)
        return torch.cat(
            [
                mine / _LENGTH,
                theirs / _LENGTH,
                relative.flatten(-2),
                radial,
                images.itself.to(r.dtype).unsqueeze(-1),
                seen,
                shown.squeeze(1).unflatten(0, others.shape),
            ],
            -1,
        )

    def _density(
        self, blocks: Blocks, bodies: Tensor, points: Tensor, weights: Tensor
    ) -> Float[Tensor, "seen points features"]:
        """Atoms of blocks around points in their frames: sums of Gaussians of the distance, by kind
        of atom.

        Args:
            blocks: All blocks.
            bodies: Which of them are looked at.
            points: In the frames of these, Å, shape (seen, points, 3).
            weights: Of all atoms, by kind.
        """
        counts = blocks.block_atoms[bodies]
        starts = (blocks.block_atoms.cumsum(0) - blocks.block_atoms)[bodies]
        place = segment_index(counts)
        within = torch.arange(len(place), device=place.device) - (counts.cumsum(0) - counts)[place]
        atoms = starts[place] + within
        away = points[place] - blocks.block_positions[atoms].unsqueeze(1)
        squares = away.square().sum(-1)
        bells = torch.stack([torch.exp(squares / (-2 * width**2)) for width in _DENSITIES], -1)
        kinds = weights[atoms].unsqueeze(1).unsqueeze(-1)
        each = (bells.unsqueeze(-2) * kinds).flatten(-2)
        sums = each.new_zeros(len(bodies), *each.shape[1:])
        return sums.index_add(0, place, each)

    def _vectors(
        self, h: Tensor, edges: Tensor, images: Images, frames: Tensor, rows: Tensor
    ) -> Float[Tensor, "bodies vectors 3"]:
        """Vectors from directions of images, of their frames, of the own frame and of the cell."""
        told = self.pair_vectors(h, edges, images)
        told = told.masked_fill(~images.there.unsqueeze(-1), 0.0)
        count = math.sqrt(images.senders.shape[1])
        in_frames, along = told.split([3 * _VECTORS, _VECTORS], -1)
        parts = in_frames.unflatten(-1, (_VECTORS, 3))
        theirs = _from_frame(frames[images.senders].unsqueeze(2), parts)
        distance = torch.linalg.vector_norm(images.vectors, dim=-1, keepdim=True)
        direction = images.vectors / (distance + 1.0)
        vectors = (theirs + along.unsqueeze(-1) * direction.unsqueeze(2)).sum(1) / count
        own, cell = self.own_vectors(h).split(3 * _VECTORS, -1)
        vectors = vectors + _from_frame(frames.unsqueeze(1), own.unflatten(-1, (_VECTORS, 3)))
        units = rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
        return vectors + (cell.unflatten(-1, (_VECTORS, 3)).unsqueeze(-1) * units.unsqueeze(1)).sum(
            -2
        )


class _Message(nn.Module):
    """A map of two blocks and what they look like from each other."""

    def __init__(self, hidden: int, edges: int, outputs: int) -> None:
        super().__init__()
        self.receiver = Linear(hidden, edges)
        self.sender = Linear(hidden, edges, bias=False)
        self.edge = Linear(edges, edges, bias=False)
        self.out = Linear(edges, outputs)

    def forward(self, h: Tensor, edges: Tensor, images: Images) -> Tensor:
        joined = self.receiver(h).unsqueeze(1) + self.sender(h)[images.senders] + self.edge(edges)
        return self.out(nn.functional.silu(joined))


class _Round(nn.Module):
    """Messages from images, weighed by attention, and from the whole crystal."""

    def __init__(self, hidden: int, edges: int) -> None:
        super().__init__()
        self.message = _Message(hidden, edges, hidden + 1)
        self.norm = nn.LayerNorm(hidden)
        self.update = nn.Sequential(
            Linear(4 * hidden, 2 * hidden), nn.SiLU(), Linear(2 * hidden, hidden)
        )

    def forward(
        self, h: Tensor, edges: Tensor, images: Images, crystal: Tensor, counts: Tensor
    ) -> Tensor:
        x = self.norm(h)
        told = self.message(x, edges, images)
        messages, weight = told[..., :-1], told[..., -1]
        there = images.there.unsqueeze(-1)
        share = weight.masked_fill(~images.there, -torch.inf).softmax(-1).unsqueeze(-1)
        attended = (share * messages).sum(1)
        summed = messages.masked_fill(~there, 0.0).sum(1) / math.sqrt(messages.shape[1])
        mean = x.new_zeros(len(counts), x.shape[1]).index_add(0, crystal, x) / counts
        return h + self.update(torch.cat([x, attended, summed, mean[crystal]], -1))


def _turned(frames: Tensor, vectors: Tensor) -> Tensor:
    """Vectors as they are seen from frames: Rᵀ v."""
    return (frames * vectors.unsqueeze(-1)).sum(-2)


def _from_frame(frames: Tensor, vectors: Tensor) -> Tensor:
    """Vectors that are given in frames: R v."""
    return (frames * vectors.unsqueeze(-2)).sum(-1)
