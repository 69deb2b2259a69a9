"""PDDFormer: attention in which both ends of an edge ask each other, and profiles of distances
between the layers.

Deviations from the code: norms act on each vector instead of the batch, with as many parameters;
messages are averaged, not summed, over neighbours, because every message contains the receiver's
query and a sum would grow with each tie.

Source: Shen et al. 2025 (PDDFormer), code.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.distance_profiles import ProfileBackbone
from ase_crysdiff.networks.graph import CrystalGraph, Neighborhood
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.message_passing import EdgeLinear, EdgeMLP, aggregate
from ase_crysdiff.networks.species_embeddings import make_elements
from ase_crysdiff.shapes import Float, Tensor

#: Edges are told apart by Gaussians of x = -1 Å / d, without unit, so that bonds are resolved more
#: finely than what is far away. Factor in Å; first and last centre on the scale of x: -6 stands for
#: 1/6 Å, 0 for infinity.
_SCALE, _RANGE = -1.0, (-6.0, 0.0)
#: Arguments of the published network, 4,512,257 parameters with its readout of 66,049.
PUBLISHED: dict[str, Any] = {
    "hidden": 256,
    "layers": 3,
    "neighbors": 12,
    "profile": 50,
    "elements": "table",
}


class MutualConvolution(nn.Module):
    """α_ij = q_i ⊙ MLP[k_j, e] + q_j ⊙ MLP'[k_i, e]; m_ij = MLP[v_i, v_j, e] ⊙ σ(LN(W [v_i, v_j,
    e])).

    The message is q_i + m_ij ⊙ σ(LN(α_ij)), and h_i ← SiLU(h_i + W_u LN(W_c mean_j message)).
    Source: PDDFormer (code).
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.project = Linear(hidden, 3 * hidden)  # query, key, value
        self.edge = Linear(hidden, hidden)
        self.receiver_keys, self.sender_keys = EdgeMLP(hidden, 1), EdgeMLP(hidden, 1)
        self.values = EdgeMLP(hidden)
        self.value_gate = EdgeLinear(hidden, hidden, hidden)
        self.value_norm, self.gate_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.join = Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.out = Linear(hidden, hidden)

    def forward(
        self,
        nodes: Float[Tensor, "atoms hidden"],
        edges: Float[Tensor, "edges hidden"],
        graph: CrystalGraph,
    ) -> Float[Tensor, "atoms hidden"]:
        query, key, value = self.project(nodes).chunk(3, -1)
        edges, receivers, senders = self.edge(edges), graph.receivers, graph.senders
        weights = query.index_select(0, receivers) * self.sender_keys(key, edges, senders)
        weights = weights + query.index_select(0, senders) * self.receiver_keys(
            key, edges, receivers
        )
        messages = self.values(value, edges, receivers, senders)
        messages = messages * torch.sigmoid(
            self.value_norm(self.value_gate(value, edges, receivers, senders))
        )
        arrived = query + aggregate(
            messages * torch.sigmoid(self.gate_norm(weights)), graph, "mean"
        )
        return functional.silu(nodes + self.out(self.norm(self.join(arrived))))


class PDDFormer(ProfileBackbone):
    """The encoder of PDDFormer: convolutions with a mixer before each but the first.

    Args:
        hidden: Width.
        layers: Convolutions.
        neighbors: Nearest neighbours per atom.
        profile: Distances per atom.
        elements: How elements are read: `described`, `one-hot` or `table`, which is the published
            way.
    """

    def __init__(
        self,
        hidden: int = 96,
        layers: int = 3,
        neighbors: int = 12,
        profile: int = 24,
        elements: str = "described",
    ) -> None:
        super().__init__(
            hidden,
            layers,
            Neighborhood(neighbors, profile=profile),
            nn.Sequential(make_elements(elements, hidden), nn.SiLU(), Linear(hidden, hidden)),
            nn.Sequential(Linear(hidden, hidden), nn.SiLU()),
            MutualConvolution,
            _SCALE,
            _RANGE,
        )
