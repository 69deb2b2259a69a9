"""Pointwise distance distributions: what an atom's surroundings look like from far away, in one
vector.

Row i of the distribution holds the ascending distances from atom i to its k nearest neighbours, and
a weight. Rows stay in the order of the atoms and equal rows are not merged, so that they can be
added to node vectors.

Source: Widdowson and Kurlin 2022 for the distribution; Shen et al. 2025 (PDDFormer) and
CrysLDNet (code) for its use.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.base import Backbone, Features
from ase_crysdiff.networks.graph import CrystalGraph, Neighborhood
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.message_passing import features, system_means
from ase_crysdiff.networks.radial import gaussians
from ase_crysdiff.shapes import Float, Tensor

#: Mean and standard deviation by which logarithms of distances in Å are brought to order one: those
#: of 2 to 9 Å lie between -1.4 and 1.4.
_LOG_MEAN, _LOG_STD = 1.45, 0.53


def weights(graph: CrystalGraph) -> Float[Tensor, " atoms"]:
    """Z_i over the mean of Z over the crystal's atoms; hidden elements have none.

    Published is the sum in place of the mean, which makes the weight depend on how many primitive
    cells the cell holds.
    """
    number = graph.species.to(graph.profile.dtype)
    mean = system_means(number, graph)
    return number / mean.clamp_min(1e-6)[graph.systems]


class ProfileEmbedding(nn.Module):
    """A linear map of the weight and the distances of every atom.

    Distances grow without bound in open crystals, so their logarithms are read.

    Args:
        columns: Distances per atom.
        hidden: Width.
    """

    def __init__(self, columns: int, hidden: int) -> None:
        super().__init__()
        self.linear = Linear(columns + 1, hidden)

    def forward(self, graph: CrystalGraph) -> Float[Tensor, "atoms hidden"]:
        distances = (torch.log(graph.profile.clamp_min(0.1)) - _LOG_MEAN) / _LOG_STD
        return self.linear(torch.cat([weights(graph).unsqueeze(-1), distances], -1))


class ProfileMixer(nn.Module):
    """p ← p + h; [u, g] = W₁ LN(p); h ← h + W₃ (W₂ u ⊙ GELU(g)). The profile p is carried to the
    next mixer.

    Published are a batch norm and dropout of 0.1 at the gate; the latter is left out. Source:
    CrysLDNet (code).

    Args:
        hidden: Width.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.widen = Linear(hidden, 2 * hidden)
        self.inner = Linear(hidden, hidden)
        self.out = Linear(hidden, hidden)

    def forward(
        self, nodes: Float[Tensor, "atoms hidden"], profile: Float[Tensor, "atoms hidden"]
    ) -> tuple[Float[Tensor, "atoms hidden"], Float[Tensor, "atoms hidden"]]:
        profile = profile + nodes
        value, gate = self.widen(self.norm(profile)).chunk(2, -1)
        return nodes + self.out(self.inner(value) * functional.gelu(gate)), profile


class ProfileBackbone(Backbone):
    """Convolutions between which atoms mix with their profiles of distances.

    Args:
        hidden: Width.
        layers: Convolutions.
        neighborhood: With profiles.
        elements: From atomic numbers to the width.
        edges: From Gaussians of inverse distances to the width.
        convolution: Makes one of a width.
        scale: Of the inverse distances, Å; negative.
        span: First and last centre of the Gaussians.
    """

    def __init__(
        self,
        hidden: int,
        layers: int,
        neighborhood: Neighborhood,
        elements: nn.Module,
        edges: nn.Module,
        convolution: Callable[[int], nn.Module],
        scale: float,
        span: tuple[float, float],
    ) -> None:
        super().__init__()
        self.hidden, self.neighborhood, self.scale, self.span = hidden, neighborhood, scale, span
        self.elements, self.edges = elements, edges
        self.profile = ProfileEmbedding(neighborhood.profile, hidden)
        self.first = convolution(hidden)
        self.mixers = nn.ModuleList(ProfileMixer(hidden) for _ in range(layers - 1))
        self.layers = nn.ModuleList(convolution(hidden) for _ in range(layers - 1))

    def forward(self, graph: CrystalGraph) -> Features:
        nodes = self.elements(graph.species)
        edges = self.edges(gaussians(self.scale / graph.distances, *self.span, self.hidden))
        profile = self.profile(graph)
        nodes = self.first(nodes, edges, graph)
        for mixer, layer in zip(self.mixers, self.layers, strict=True):
            nodes, profile = mixer(nodes, profile)
            nodes = layer(nodes, edges, graph)
        return features(nodes, graph)
