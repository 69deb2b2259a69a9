"""Attention with a vector of weights per edge, over the nearest neighbours and the atom's own
images.

Edges to an atom's own images (self-edges) tell the network the lattice. They are those of the given
cell, and there whatever the radius of the search for neighbours was. Features then depend on the
choice of the cell, so give primitive Niggli cells, or switch them off. Norms act on each vector
instead of the batch, with as many parameters.

Source: Yan et al. 2022 (Matformer), section 4 and code.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.base import Backbone, Features
from ase_crysdiff.networks.graph import CrystalGraph, Neighborhood
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.message_passing import EdgeLinear, aggregate, features
from ase_crysdiff.networks.radial import gaussians
from ase_crysdiff.networks.species_embeddings import make_elements
from ase_crysdiff.shapes import Float, Tensor

#: Range of the Gaussians of the distance, Å.
_RANGE = (0.0, 8.0)
#: Arguments of the published network, 2,782,849 parameters with its readout of 16,641.
PUBLISHED: dict[str, Any] = {"hidden": 128, "layers": 5, "heads": 4, "elements": "table"}


class MatformerConvolution(nn.Module):
    """α_ij = [q_i, q_i, q_i] ⊙ [k_i, k_j, e_ij]; m_ij = LN(W_b [W_a [v_i, v_j, e_ij] ⊙
    σ(LN(α_ij))]).

    Then h_i ← W h_i + SiLU(LN(W_c Σ_j m_ij)), where the heads' sums are joined. A factor 1/√(3d) of
    α is left out: the norm takes it back. Source: Yan et al. 2022, equations 6-8.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(hidden, heads * hidden)
        self.key = Linear(hidden, heads * hidden)
        self.value = Linear(hidden, heads * hidden)
        self.edge = Linear(hidden, heads * hidden, bias=False)
        self.update = EdgeLinear(hidden, hidden, 3 * hidden)
        self.gate_norm = nn.LayerNorm(3 * hidden)
        self.message = Linear(3 * hidden, hidden)
        self.message_norm = nn.LayerNorm(hidden)
        self.join = Linear(heads * hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.skip = Linear(hidden, hidden)

    def forward(
        self,
        nodes: Float[Tensor, "atoms hidden"],
        edges: Float[Tensor, "edges hidden"],
        graph: CrystalGraph,
    ) -> Float[Tensor, "atoms hidden"]:
        receivers, senders = graph.receivers, graph.senders
        heads = [
            x.chunk(self.heads, -1)
            for x in (self.query(nodes), self.key(nodes), self.value(nodes), self.edge(edges))
        ]
        sums = []
        for query, key, value, edge in zip(*heads, strict=True):
            own = query * key
            receiver = torch.cat([own, query], -1).index_select(0, receivers)
            own, query = receiver.chunk(2, -1)
            weights = torch.cat([own, query * key.index_select(0, senders), query * edge], -1)
            gate = torch.sigmoid(self.gate_norm(weights))
            message = self.message(self.update(value, edge, receivers, senders) * gate)
            sums.append(aggregate(self.message_norm(message), graph))
        return self.skip(nodes) + functional.silu(self.norm(self.join(torch.cat(sums, -1))))


class Matformer(Backbone):
    """The encoder of Matformer.

    Args:
        hidden: Width.
        layers: Convolutions.
        heads: Of the attention, each as wide as a node.
        radial: Gaussians of the distance; as many as the width by default.
        neighbors: Nearest neighbours per atom.
        self_edges: Whether every atom has edges to its own images.
        elements: How elements are read: `described`, `one-hot` or `table`, which is the published
            way.
    """

    def __init__(
        self,
        hidden: int = 64,
        layers: int = 3,
        heads: int = 1,
        radial: int | None = None,
        neighbors: int = 12,
        self_edges: bool = True,
        elements: str = "described",
    ) -> None:
        super().__init__()
        self.hidden, self.radial = hidden, radial or hidden
        self.neighborhood = Neighborhood(neighbors, self_edges=self_edges)
        self.needs_canonical_cell = self_edges
        self.elements = make_elements(elements, hidden)
        self.edges = nn.Sequential(
            Linear(self.radial, hidden), nn.Softplus(), Linear(hidden, hidden)
        )
        self.layers = nn.ModuleList(MatformerConvolution(hidden, heads) for _ in range(layers))

    def forward(self, graph: CrystalGraph) -> Features:
        nodes = self.elements(graph.species)
        edges = self.edges(gaussians(graph.distances, *_RANGE, self.radial))
        for layer in self.layers:
            nodes = layer(nodes, edges, graph)
        return features(nodes, graph)
