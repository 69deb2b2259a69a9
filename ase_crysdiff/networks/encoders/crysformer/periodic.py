"""Crysformer on atoms and all periodic images within a cutoff: the edge mode of potentials.

The published network attends over the atoms of one cell and reads the cell itself, so that another
cell of the same crystal is another input. Here an atom attends to its neighbours in space, which
makes sums of atomic terms extensive. Attention is a_ij = f e^s / (1 + Σ f e^s) with an envelope f:
a plain softmax jumps when the only neighbour crosses the cutoff. What is attended to are the
neighbours' values times radial functions and harmonics of degree 0, 1 and 2 of the direction;
scalar products of the sums are invariants. Everything wide happens per atom, only a few numbers per
edge.

Source of the attention block: DAO-P's Crysformer (GLAD-RUC 2025), pre-norm, one shared edge
projection; the invariants follow PaiNN (Schütt et al. 2021) and the density trick of ACE (Drautz
2019).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.base import Backbone, Features
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.networks.encoders.crysformer.neighbor_tables import (
    NeighborTables,
    Piece,
    neighbor_tables,
)
from ase_crysdiff.networks.graph import Graph, Neighborhood
from ase_crysdiff.networks.message_passing import features
from ase_crysdiff.networks.radial import bessel, envelope, gaussian_basis, quadrupole
from ase_crysdiff.networks.species_embeddings import NUM_ELEMENTS, DescribedElements
from ase_crysdiff.shapes import Float, Tensor

#: Components of the harmonics of degree 0, 1, 2.
_COMPONENTS = (1, 3, 5)
#: Weighted means over neighbours nearly cancel; with this initial gain their invariants are of
#: order 1.
_GAIN = 4.0
#: How gently distances below the closest one become alike, over the sum of the radii.
_SOFTNESS = 0.025


class _Columns(NamedTuple):
    """Widths of what one linear map makes of an atom's vector.

    Args:
        query: What the atom looks for in its neighbours' keys: heads x key width.
        radial_query: What it looks for in distances: largest number of radial functions x heads.
        key: What its neighbours find: heads x key width.
        value: What they receive: the width of the nodes.
    """

    query: int
    radial_query: int
    key: int
    value: int


class _Edges:
    """What all layers read of the edges of one piece.

    Args:
        piece: Which atoms and slots.
        senders: Neighbour of each of its slots, a row of the tables.
        vectors: To that neighbour, Å, shape (slots, 3).
        radii: Covalent radius of every atom, Å, in the order of the tables.
        neighborhood: How far atoms see each other.
        closest: Shortest distance that is told from shorter ones, over the sum of the radii.
        num_radial: Radial functions for harmonics of degree 0, 1 and 2.
    """

    def __init__(
        self,
        piece: Piece,
        senders: Tensor,
        vectors: Tensor,
        radii: Tensor,
        neighborhood: Neighborhood,
        closest: float,
        num_radial: Sequence[int],
    ) -> None:
        assert neighborhood.cutoff is not None
        self.piece = piece
        # Everything is laid out with one row per component or function, so that operations run
        # along the edges: several times faster than along three or five numbers.
        vectors = vectors.t().contiguous()
        # No atom lies on another; the bound only keeps the gradient finite if one does.
        distance = vectors.square().sum(0).clamp_min(1e-12).sqrt()
        bond = radii[senders] + radii[piece.atoms].repeat_interleave(piece.width)
        limit = neighborhood.limits(bond)
        #: Weight of an edge by its length, 0 at its cutoff, (atoms, width).
        self.envelope = envelope(distance / limit).unflatten(0, (-1, piece.width))
        seen = distance
        if closest:
            x = (distance / bond - closest) / _SOFTNESS
            seen = bond * (closest + _SOFTNESS * functional.softplus(x))
        half = max(num_radial) // 2
        # Bessel functions of the distance over the cutoff and Gaussians of the distance over the
        # bond length take turns.
        radial = torch.stack(
            [bessel(seen / neighborhood.cutoff, half), gaussian_basis(seen / bond, half)], 1
        ).flatten(0, 1)
        unit = vectors / distance
        parts = [radial[: num_radial[0]]]
        for harmonics, count in zip((unit, quadrupole(unit)), num_radial[1:], strict=True):
            parts.append((harmonics.unsqueeze(1) * radial[:count]).flatten(0, 1))
        #: Functions of an edge's length, (atoms, width, radial).
        self.radial = radial.unflatten(1, (-1, piece.width)).permute(1, 2, 0)
        #: Harmonics times radial functions, (atoms, rows, width); rows go by degree, then by
        #: component, then by radial function.
        self.basis = torch.cat(parts).unflatten(1, (-1, piece.width)).transpose(0, 1)


class PeriodicLayer(nn.Module):
    """Attention to neighbours in space, then a feed-forward block on its invariants.

    Per head, the score of an edge is q_i · k_j / √(key width) + r_i · R(d_ij) with a radial query
    r_i and the radial functions R. The attention-weighted values are summed over neighbours once
    for every row of the edges' basis (harmonic component and radial function); `mix` combines the
    radial functions of one degree into one vector per harmonic component; squares of these, and the
    product of the two ways to make degree 2, are the invariants.

    Args:
        hidden: Width of nodes.
        heads: Of the attention; divides `hidden`.
        key_width: Width of queries and keys per head.
        num_radial: Radial functions for harmonics of degree 0, 1 and 2.
        expansion: Width of the feed-forward block over `hidden`.
    """

    def __init__(
        self, hidden: int, heads: int, key_width: int, num_radial: Sequence[int], expansion: int
    ) -> None:
        super().__init__()
        self.heads, self.num_radial = heads, tuple(num_radial)
        keys = heads * key_width
        self.columns = _Columns(keys, heads * max(num_radial), keys, hidden)
        #: Widths of what an atom asks, and of what its neighbours learn of it.
        self.halves = sum(self.columns[:2]), sum(self.columns[2:])
        self.scale = key_width**-0.5
        self.norm = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, sum(self.columns))
        self.mix = nn.ModuleList(self._mixing(count * hidden, hidden) for count in num_radial)
        self.widen = nn.Linear(5 * hidden + heads, expansion * hidden)
        self.narrow = nn.Linear(expansion * hidden, hidden)

    @staticmethod
    def _mixing(inputs: int, outputs: int) -> nn.Linear:
        linear = nn.Linear(inputs, outputs, bias=False)
        nn.init.normal_(linear.weight, std=_GAIN * inputs**-0.5)
        return linear

    def forward(
        self, nodes: Float[Tensor, "atoms hidden"], tables: NeighborTables, pieces: list[_Edges]
    ) -> Float[Tensor, "atoms hidden"]:
        normed = self.norm(nodes)
        asked, known = self.project(normed).split(self.halves, -1)
        parts = zip(pieces, tables.split_atoms(asked), tables.gather(known), strict=True)
        attended = [self._attend(*part) for part in parts]
        # Fewer and larger operations where everything is one piece: small crystals live on that.
        columns = attended[0] if len(attended) == 1 else map(torch.cat, zip(*attended, strict=True))
        update = self.widen(torch.cat([normed, *columns], -1))
        return nodes + self.narrow(functional.silu(update))

    def _attend(self, edges: _Edges, asked: Tensor, arrived: Tensor) -> tuple[Tensor, ...]:
        """Invariants of the weighted sums over neighbours, four of (atoms, hidden), and the
        logarithm of 1 + Σ f e^s per head. The sums, which are the widest of all tensors, stay
        within the piece.
        """
        heads = self.heads
        query, radial_query = asked.split(self.columns[:2], -1)
        key, value = arrived.split(self.columns[2:], -1)
        scores = (query.unsqueeze(1) * key).unflatten(-1, (heads, -1)).sum(-1) * self.scale
        scores = scores + edges.radial @ radial_query.unflatten(-1, (-1, heads))
        # Shifting all scores changes nothing but keeps the exponentials in range; 1 becomes e^-top.
        top = scores.detach().amax(1, keepdim=True).clamp_min(0)
        weights = edges.envelope.unsqueeze(-1) * torch.exp(scores - top)
        total = weights.sum(1, keepdim=True) + torch.exp(-top)
        attention = weights / total
        weighted = (value.unflatten(-1, (heads, -1)) * attention.unsqueeze(-1)).flatten(-2)
        return *self._invariants(edges.basis @ weighted), (torch.log(total) + top).squeeze(1)

    def _invariants(self, sums: Float[Tensor, "atoms rows hidden"]) -> tuple[Tensor, ...]:
        """Four numbers per atom and channel: the scalar part, the squared lengths of the vector and
        of the quadrupole, and the product of the quadrupole with that of the vector.
        """
        rows = [count * number for count, number in zip(_COMPONENTS, self.num_radial, strict=True)]
        scalars, vectors, quadrupoles = (
            # A product of two matrices; given three axes, torch copies the weights for every atom.
            mix(part.reshape(len(sums) * count, -1)).unflatten(0, (-1, count))
            for mix, part, count in zip(self.mix, sums.split(rows, 1), _COMPONENTS, strict=True)
        )
        return (
            scalars.squeeze(1),
            vectors.square().sum(1),
            quadrupoles.square().sum(1),
            (quadrupole(vectors) * quadrupoles).sum(1),
        )


class PeriodicCrysformer(Backbone):
    """Features of atoms from their neighbours in space; an atom without neighbours has those of its
    element.

    Args:
        hidden: Width of nodes.
        layers: Rounds of attention.
        heads: Of the attention; divides `hidden`.
        key_width: Width of queries and keys per head.
        cutoff: How far an atom sees in one round, Å.
        reach: Two atoms see each other at least as far as this multiple of the sum of their
            covalent radii.
        num_radial: Radial functions for harmonics of degree 0, 1 and 2.
        expansion: Width of the feed-forward blocks over `hidden`.
        num_species: Rows of the embedding: atomic numbers below it, and 0 for a hidden element.
        closest: Shorter distances than this multiple of the sum of the covalent radii look alike: a
            network knows nothing of atoms that overlap, and would attract them as likely as not.
            What remains there is a potential's own repulsion. 0 tells all distances.
    """

    is_smooth = True

    def __init__(
        self,
        hidden: int = 96,
        layers: int = 2,
        heads: int = 4,
        key_width: int = 8,
        cutoff: float = 5.0,
        num_radial: Sequence[int] = (12, 8, 4),
        expansion: int = 2,
        num_species: int = NUM_ELEMENTS,
        reach: float = 0.0,
        closest: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden, self.cutoff, self.num_radial = hidden, cutoff, tuple(num_radial)
        self.closest = closest
        self.neighborhood = Neighborhood(None, cutoff, reach=reach)
        self.farthest = float(self.neighborhood.limits(2 * covalent_radii().max()))
        self.radii: Tensor
        self.register_buffer("radii", covalent_radii(torch.float32)[:num_species], persistent=False)
        self.elements = DescribedElements(hidden, num_species)
        self.layers = nn.ModuleList(
            PeriodicLayer(hidden, heads, key_width, num_radial, expansion) for _ in range(layers)
        )

    def forward(self, graph: Graph) -> Features:
        return features(self.rounds(graph)[-1], graph)

    def rounds(self, graph: Graph) -> list[Float[Tensor, "atoms hidden"]]:
        """Vectors of the atoms, in the graph's order, before the first round of attention and after
        each.
        """
        tables = neighbor_tables(graph, self.farthest)
        species = graph.species[tables.order]
        nodes = self.elements(species)  # refuses what it does not know
        radii = self.radii[species]
        split = tables.split_slots
        parts = zip(tables.pieces, split(tables.senders), split(tables.vectors), strict=True)
        pieces = [
            _Edges(*part, radii, self.neighborhood, self.closest, self.num_radial) for part in parts
        ]
        found = [nodes]
        for layer in self.layers:
            found.append(layer(found[-1], tables, pieces))
        return [nodes.index_select(0, tables.rank) for nodes in found]
