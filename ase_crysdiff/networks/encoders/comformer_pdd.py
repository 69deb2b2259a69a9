"""The encoder that CrysLDNet pretrains: gated convolutions over nearest neighbours, and profiles of
distances between them.

Its authors call it PDDFormer, but its convolutions are ComFormer's; `pddformer` has the original
ones. It reads distances and elements only, so that mirror images are the same to it. Norms act on
each vector instead of the batch, with as many parameters.

Source: Mukherjee et al. 2026 (CrysLDNet), code; Yan et al. 2024 (ComFormer) for the convolution.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.distance_profiles import ProfileBackbone
from ase_crysdiff.networks.graph import CrystalGraph, Neighborhood
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.message_passing import EdgeMLP, aggregate
from ase_crysdiff.networks.species_embeddings import make_elements
from ase_crysdiff.shapes import Float, Tensor

#: Edges are told apart by Gaussians of x = -0.75 Å / d, without unit: many for bonds, few for what
#: is far away. Factor in Å; first and last centre on the scale of x.
_SCALE, _RANGE = -0.75, (-4.0, 0.0)
#: Arguments of the published network, 4,332,800 parameters.
PUBLISHED: dict[str, Any] = {
    "hidden": 256,
    "layers": 4,
    "neighbors": 25,
    "profile": 92,
    "elements": "one-hot",
}


class ComformerConvolution(nn.Module):
    """κ_ij = MLP[k_i, k_j, e_ij], m_ij = MLP[v_i, v_j, e_ij]; h_i ← softplus(h_i + LN(W Σ_j m_ij ⊙
    σ(LN(q_i ⊙ κ_ij)))).

    A factor 1/√d before the inner norm is left out: the norm takes it back. Source: CrysLDNet
    (code).
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.project = Linear(hidden, 3 * hidden)  # query, key, value
        self.edge = Linear(hidden, hidden)
        self.keys, self.values = EdgeMLP(hidden), EdgeMLP(hidden)
        self.gate_norm = nn.LayerNorm(hidden)
        self.out = Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(
        self,
        nodes: Float[Tensor, "atoms hidden"],
        edges: Float[Tensor, "edges hidden"],
        graph: CrystalGraph,
    ) -> Float[Tensor, "atoms hidden"]:
        query, key, value = self.project(nodes).chunk(3, -1)
        edges, ends = self.edge(edges), (graph.receivers, graph.senders)
        weights = query.index_select(0, graph.receivers) * self.keys(key, edges, *ends)
        messages = self.values(value, edges, *ends) * torch.sigmoid(self.gate_norm(weights))
        return functional.softplus(nodes + self.norm(self.out(aggregate(messages, graph))))


class ComformerPDD(ProfileBackbone):
    """The encoder of CrysLDNet: a convolution, then a mixer and a convolution in turns.

    Args:
        hidden: Width.
        layers: Convolutions.
        neighbors: Nearest neighbours per atom.
        profile: Distances per atom.
        elements: How elements are read: `described`, `one-hot`, which is the published way, or
            `table`.
    """

    def __init__(
        self,
        hidden: int = 96,
        layers: int = 4,
        neighbors: int = 12,
        profile: int = 24,
        elements: str = "described",
    ) -> None:
        super().__init__(
            hidden,
            layers,
            Neighborhood(neighbors, profile=profile),
            make_elements(elements, hidden),
            nn.Sequential(Linear(hidden, hidden), nn.Softplus()),
            ComformerConvolution,
            _SCALE,
            _RANGE,
        )
