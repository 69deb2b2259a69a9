"""Crysformer as published: attention over all pairs of atoms of a cell, for generation and for
energies of noisy crystals.

It reads the cell itself and no periodic images, so that its features depend on the choice of the
cell; potentials use `crysformer.periodic` instead. Both are edge modes of one network: pre-norm
attention in which an edge speaks into keys and values alike, then a feed-forward block.

What is mended, each by an argument that restores the published network:
- lattice invariants and Fourier features are normalised apart (`joint_norm=False`): normalised
  together, the invariants, which reach hundreds of Å², leave the Fourier part a deviation of 0.1 in
  a cell of 10 Å;
- elements get a learned embedding beside the table (`learned=16`), because some of them share a
  row.

Source: DAO (GLAD-RUC 2025), Crysformer: code, and paper for the equations of attention and gate.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import Block, Layout
from ase_crysdiff.networks.base import Context, Encoder, Features, NodeInput, Stem
from ase_crysdiff.networks.embeddings import fourier_features, time_embedding
from ase_crysdiff.networks.encoders.crysformer.element_table import element_table
from ase_crysdiff.networks.linear import Linear, product
from ase_crysdiff.networks.stems import TIME_WIDTH
from ase_crysdiff.processes.joint import NoisyState
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.shapes import Float, Tensor


class GatedAddition(nn.Module):
    """g x + (1 - g) y with one gate per atom, sigmoid(w · [x, y, x - y]); unlike a sum it can close
    the residual path.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gate = Linear(3 * hidden, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "atoms hidden"], y: Float[Tensor, "atoms hidden"]
    ) -> Float[Tensor, "atoms hidden"]:
        gate = torch.sigmoid(self.gate(torch.cat([x, y, x - y], -1)))
        return gate * x + (1 - gate) * y


class _PairFeatures(NamedTuple):
    """Of one block: invariants (count, features) and Fourier features (count, size, size,
    features).
    """

    block: Block
    crystals: Tensor
    fourier: Tensor


class CrysformerLayer(nn.Module):
    """Attention and feed-forward block with the parameters of the published layer."""

    def __init__(
        self, hidden: int, heads: int, crystal_features: int, fourier: int, joint_norm: bool
    ) -> None:
        super().__init__()
        self.heads, self.features, self.joint_norm = heads, (crystal_features, fourier), joint_norm
        self.norm = nn.LayerNorm(hidden)
        self.query = Linear(hidden, hidden)
        self.key_value = Linear(hidden, 2 * hidden)
        self.edge_norm = nn.LayerNorm(crystal_features + fourier)
        self.edge = Linear(crystal_features + fourier, hidden)
        self.out = Linear(hidden, hidden)
        self.gate = GatedAddition(hidden)
        self.forward_norm = nn.LayerNorm(hidden)
        self.widen = Linear(hidden, 4 * hidden)
        self.narrow = Linear(4 * hidden, hidden)
        self.forward_gate = GatedAddition(hidden)

    def forward(
        self, nodes: Float[Tensor, "atoms hidden"], pairs: Sequence[_PairFeatures]
    ) -> Float[Tensor, "atoms hidden"]:
        normed = self.norm(nodes)
        query, key_value = self.query(normed), self.key_value(normed)
        messages = torch.cat([self._attend(part, query, key_value) for part in pairs])
        nodes = self.gate(nodes, self.out(messages))
        return self.forward_gate(
            nodes, self.narrow(functional.gelu(self.widen(self.forward_norm(nodes))))
        )

    def _attend(
        self, part: _PairFeatures, query: Tensor, key_value: Tensor
    ) -> Float[Tensor, "rows hidden"]:
        edges = self.edge_terms(part.crystals, part.fourier)
        block, heads = part.block, self.heads
        key, value = block.view(key_value).chunk(2, -1)
        per_head = (heads, query.shape[-1] // heads)
        receiver = block.view(query).unflatten(-1, per_head).unsqueeze(2)
        keys = (key.unsqueeze(1) + edges).unflatten(-1, per_head)
        values = (value.unsqueeze(1) + edges).unflatten(-1, per_head)
        scores = (receiver * keys).sum(-1) * per_head[1] ** -0.5  # (count, size, size, heads)
        attention = torch.softmax(scores, 2).unsqueeze(-1)
        return (attention * values).sum(2).flatten(-2).flatten(0, 1)

    def edge_terms(
        self,
        crystals: Float[Tensor, "count invariants"],
        fourier: Float[Tensor, "count size size features"],
    ) -> Float[Tensor, "count size size hidden"]:
        """What an edge adds to the key and the value of its sender, for crystals of one size.

        Args:
            crystals: Invariants of each crystal.
            fourier: Fourier features of f_j - f_i at place (i, j).
        """
        norm = self.edge_norm
        if self.joint_norm:
            size = fourier.shape[1]
            invariants = crystals[:, None, None].expand(-1, size, size, -1)
            return self.edge(norm(torch.cat([invariants, fourier], -1)))
        scale, shift = (parameter.split(self.features) for parameter in (norm.weight, norm.bias))
        weights = self.edge.weight.split(self.features, 1)
        inputs = (crystals, fourier)
        # The lattice part is the same for all pairs of a crystal: it is mapped once and then added.
        of_crystal, of_pairs = (
            product(functional.layer_norm(x, (x.shape[-1],), a, b, norm.eps), w)
            for x, a, b, w in zip(inputs, scale, shift, weights, strict=True)
        )
        return of_pairs + (of_crystal + self.edge.bias)[:, None, None]


class Crysformer(Encoder):
    """Attention over all pairs of atoms of one cell, an atom and itself included.

    Args:
        crystal_features: Invariants per crystal that edges read.
        hidden: Width; a multiple of `heads`.
        layers: Blocks.
        heads: Of the attention.
        frequencies: Fourier frequencies per axis, 0 included.
        joint_norm: Whether invariants and Fourier features are normalised together, as published.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "hidden": 96,
        "layers": 4,
        "heads": 4,
        "frequencies": 32,
    }

    def __init__(
        self,
        crystal_features: int,
        hidden: int = 384,
        layers: int = 12,
        heads: int = 8,
        frequencies: int = 128,
        joint_norm: bool = False,
    ) -> None:
        super().__init__()
        self.hidden, self.frequencies, self.rounds = hidden, frequencies, layers
        fourier = 6 * frequencies
        self.layers = nn.ModuleList(
            CrysformerLayer(hidden, heads, crystal_features, fourier, joint_norm)
            for _ in range(layers)
        )

    def forward(self, inputs: NodeInput) -> Features:
        nodes = inputs.nodes
        pairs = [self._pairs(block, inputs) for block in inputs.layout.blocks]
        for place, layer in enumerate(self.layers):
            nodes = inputs.adapted(place, layer(nodes, pairs))
        return Features(nodes, torch.cat([part.block.view(nodes).mean(1) for part in pairs]))

    def _pairs(self, block: Block, inputs: NodeInput) -> _PairFeatures:
        frac = block.view(inputs.frac_coords)
        difference = frac.unsqueeze(1) - frac.unsqueeze(2)  # f_j - f_i at place (i, j)
        return _PairFeatures(
            block,
            inputs.crystals[block.crystals],
            torch.cat(fourier_features(difference, self.frequencies), -1),
        )


class ElementTableStem(Stem):
    """Species through the frozen table of element properties, joined with time.

    Args:
        hidden: Width of the nodes.
        lattice: Representation of the lattice component.
        generates_species: Whether species are part of the noisy state.
        learned: Width of a learned embedding beside the table, 0 for none, as published.
    """

    def __init__(
        self,
        hidden: int,
        lattice: LatticeRepresentation,
        generates_species: bool,
        learned: int = 16,
    ) -> None:
        super().__init__()
        self.lattice, self.generates_species = lattice, generates_species
        self.table: Tensor
        self.register_buffer("table", element_table(), persistent=False)
        self.species = Linear(self.table.shape[1], hidden)
        self.learned = nn.Embedding(NUM_SPECIES, learned) if learned else None
        self.join = Linear(hidden + learned + TIME_WIDTH, hidden)

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> NodeInput:
        species = state["species"] if self.generates_species else context["species"]
        parts = [self.species(self.table[species].to(t.dtype))]
        if self.learned is not None:
            parts.append(self.learned(species))
        parts.append(layout.broadcast(time_embedding(t, TIME_WIDTH), "atom"))
        return NodeInput(
            self.join(torch.cat(parts, -1)),
            self.lattice.invariants(state["lattice"]),
            state["frac_coords"],
            layout,
            partial(self.lattice.decode, state["lattice"]),
        )
