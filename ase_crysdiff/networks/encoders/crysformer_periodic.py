"""Crysformer on atoms and all periodic images within a cutoff: the edge mode of potentials.

The published network attends over the atoms of one cell and reads the cell itself, so that another
cell of the same crystal is another input. Here an atom attends to its neighbours in space, which
makes sums of atomic terms extensive. Attention is a_ij = f e^s / (1 + Σ f e^s) with an envelope f:
a plain softmax jumps when the only neighbour crosses the cutoff. What is attended to are the
neighbours' values times radial waves and harmonics of degree 0, 1 and 2 of the direction; scalar
products of the sums are invariants. Everything wide happens per atom, only a few numbers per edge.

Source of the attention block: DAO-P's Crysformer (GLAD-RUC 2025), pre-norm, one shared edge
projection; the invariants follow PaiNN (Schütt et al. 2021) and the density trick of ACE (Drautz
2019).
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.networks.elements import covalent_radii, descriptors
from ase_crysdiff.networks.graph import PeriodicGraph, Piece
from ase_crysdiff.networks.radial import bessel, bumps, envelope, quadrupole
from ase_crysdiff.shapes import Float, Tensor

#: Components of the harmonics of degree 0, 1, 2.
_COMPONENTS = (1, 3, 5)
#: Weighted means over neighbours nearly cancel; with this initial gain their invariants are of
#: order 1.
_GAIN = 4.0


class _Edges:
    """What all layers read of the edges of one piece."""

    def __init__(
        self, piece: Piece, graph: PeriodicGraph, radii: Tensor, cutoff: float, waves: Sequence[int]
    ) -> None:
        self.piece = piece
        self.second = graph.second[piece.slots]
        vectors = piece.view(graph.vectors)
        # No atom lies on another; the bound only keeps the gradient finite if one does.
        distance = vectors.square().sum(-1).clamp_min(1e-12).sqrt()
        self.envelope = envelope(distance / cutoff)
        size = piece.gather(radii, self.second) + radii[piece.atoms].unsqueeze(1)
        waves_here = bessel(distance / cutoff, max(waves) // 2)
        # Waves of the distance and bumps of the distance in units of the bond length take turns.
        self.radial = torch.stack(
            [waves_here, bumps(distance / size, max(waves) // 2)], -1
        ).flatten(-2)
        unit = (vectors / distance.unsqueeze(-1)).unsqueeze(-1)
        harmonics = (None, unit, quadrupole(unit))
        parts = [self.radial[..., : waves[0]]]
        for degree in (1, 2):
            angular = harmonics[degree]
            assert angular is not None
            parts.append((angular * self.radial[..., None, : waves[degree]]).flatten(-2))
        #: Rows of the basis, (atoms, rows, width): degree, then component, then wave.
        self.basis = torch.cat(parts, -1).transpose(1, 2)


class PeriodicLayer(nn.Module):
    """Attention to neighbours in space, then a feed-forward block on its invariants."""

    def __init__(
        self, hidden: int, heads: int, key_width: int, waves: Sequence[int], expansion: int
    ) -> None:
        super().__init__()
        self.heads, self.waves = heads, tuple(waves)
        self.columns = (heads * key_width, heads * max(waves), heads * key_width, hidden)
        self.scale = key_width**-0.5
        self.norm = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, sum(self.columns))
        self.mix = nn.ModuleList(self._mixing(count * hidden, hidden) for count in waves)
        self.widen = nn.Linear(5 * hidden + heads, expansion * hidden)
        self.narrow = nn.Linear(expansion * hidden, hidden)

    @staticmethod
    def _mixing(inputs: int, outputs: int) -> nn.Linear:
        linear = nn.Linear(inputs, outputs, bias=False)
        nn.init.normal_(linear.weight, std=_GAIN * inputs**-0.5)
        return linear

    def forward(
        self, nodes: Float[Tensor, "atoms hidden"], pieces: list[_Edges]
    ) -> Float[Tensor, "atoms hidden"]:
        normed = self.norm(nodes)
        query, radial_query, key, value = self.project(normed).split(self.columns, -1)
        sent = torch.cat([key, value], -1)
        gathered = [self._attend(edges, query, radial_query, sent) for edges in pieces]
        sums, amounts = (torch.cat(parts) for parts in zip(*gathered, strict=True))
        invariants = self._invariants(sums)
        update = self.widen(torch.cat([normed, *invariants, amounts], -1))
        return nodes + self.narrow(functional.silu(update))

    def _attend(
        self, edges: _Edges, query: Tensor, radial_query: Tensor, sent: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Weighted sums over neighbours, (atoms, rows, hidden), and the logarithm of 1 + Σ f e^s
        per head.
        """
        atoms, heads = edges.piece.atoms, self.heads
        arrived = edges.piece.gather(sent, edges.second)
        key, value = arrived.split((self.columns[2], self.columns[3]), -1)
        scores = (query[atoms].unsqueeze(1) * key).unflatten(-1, (heads, -1)).sum(-1) * self.scale
        scores = scores + edges.radial @ radial_query[atoms].unflatten(-1, (-1, heads))
        # Shifting all scores changes nothing but keeps the exponentials in range; 1 becomes e^-top.
        top = scores.detach().amax(1, keepdim=True).clamp_min(0)
        weights = edges.envelope.unsqueeze(-1) * torch.exp(scores - top)
        total = weights.sum(1, keepdim=True) + torch.exp(-top)
        attention = weights / total
        weighted = (value.unflatten(-1, (heads, -1)) * attention.unsqueeze(-1)).flatten(-2)
        return edges.basis @ weighted, (torch.log(total) + top).squeeze(1)

    def _invariants(self, sums: Float[Tensor, "atoms rows hidden"]) -> list[Tensor]:
        rows = [count * number for count, number in zip(_COMPONENTS, self.waves, strict=True)]
        scalars, vectors, quadrupoles = (
            mix(part.unflatten(1, (count, -1)).flatten(2))
            for mix, part, count in zip(self.mix, sums.split(rows, 1), _COMPONENTS, strict=True)
        )
        return [
            scalars.squeeze(1),
            vectors.square().sum(1),
            quadrupoles.square().sum(1),
            (quadrupole(vectors) * quadrupoles).sum(1),
        ]


class PeriodicCrysformer(nn.Module):
    """Features of atoms from their neighbours in space.

    Args:
        hidden: Width of nodes.
        layers: Rounds of attention.
        heads: Of the attention; divides `hidden`.
        key_width: Width of queries and keys per head.
        cutoff: How far an atom sees in one round, Å.
        waves: Radial functions for harmonics of degree 0, 1 and 2.
        expansion: Width of the feed-forward blocks over `hidden`.
        num_species: Rows of the embedding: atomic numbers below it, and 0.
    """

    def __init__(
        self,
        hidden: int = 64,
        layers: int = 2,
        heads: int = 4,
        key_width: int = 8,
        cutoff: float = 5.0,
        waves: Sequence[int] = (12, 8, 4),
        expansion: int = 2,
        num_species: int = NUM_SPECIES,
    ) -> None:
        super().__init__()
        table = descriptors(num_species)
        self.descriptors: Tensor
        self.radii: Tensor
        self.register_buffer("descriptors", table, persistent=False)
        self.register_buffer("radii", covalent_radii(torch.float32)[:num_species], persistent=False)
        self.hidden, self.cutoff, self.waves = hidden, cutoff, tuple(waves)
        self.species = nn.Embedding(num_species, hidden)
        self.describe = nn.Linear(table.shape[1], hidden)
        # What elements have in common comes first; what sets one apart is learnt.
        nn.init.normal_(self.species.weight, std=0.1)
        nn.init.normal_(self.describe.weight, std=0.5)
        self.layers = nn.ModuleList(
            PeriodicLayer(hidden, heads, key_width, waves, expansion) for _ in range(layers)
        )

    def forward(
        self, graph: PeriodicGraph
    ) -> tuple[Float[Tensor, "atoms hidden"], Float[Tensor, " atoms"]]:
        """Node features, and how much of a neighbourhood each atom has: Σ f, 0 for an isolated
        atom.
        """
        radii = self.radii[graph.species]
        pieces = [_Edges(piece, graph, radii, self.cutoff, self.waves) for piece in graph.pieces]
        nodes = self.species(graph.species) + self.describe(self.descriptors[graph.species])
        for layer in self.layers:
            nodes = layer(nodes, pieces)
        return nodes, torch.cat([edges.envelope.sum(1) for edges in pieces])
