"""A backbone with an equivariant readout: displacements of atoms from the edges around them."""

import torch
from torch import nn

from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.graph import CrystalGraph
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.radial import gaussians
from ase_crysdiff.shapes import Float, Tensor

#: Gaussians that tell the readout how long an edge is: from and to, Å, and how many.
_RADIAL = (1.0, 6.0, 16)


class DisplacementNetwork(nn.Module):
    """For every atom a sum over its edges: a number, from the features of both ends and the edge's
    length, times its direction.

    The numbers do not change when the crystal is turned and the directions turn with it, so any
    backbone of invariant features serves. The amount of noise is given to the readout only; a
    backbone learns to see it in the crystal.

    Args:
        backbone: What is pretrained.
        width: Hidden width of the readout.

    Source: Orb (Neumann et al. 2024) for the task; the readout is that of E(n)-equivariant networks
    (Satorras et al. 2021).
    """

    def __init__(self, backbone: Backbone, width: int = 64) -> None:
        super().__init__()
        self.backbone = backbone
        self.ends = Linear(backbone.hidden, 2 * width)
        self.length = Linear(_RADIAL[2] + 1, width, bias=False)
        self.strength = Linear(width, 1)

    def forward(
        self, graph: CrystalGraph, deviation: Float[Tensor, " crystals"]
    ) -> Float[Tensor, "atoms 3"]:
        """Displacements in units of their standard deviation.

        Args:
            graph: Displaced crystals.
            deviation: Standard deviation of the displacements in each crystal, Å.
        """
        receiving, sending = self.ends(self.backbone(graph).nodes).chunk(2, -1)
        distances = graph.distances.clamp_min(1e-3)
        scale = deviation.log()[graph.systems[graph.receivers]]
        lengths = torch.cat([gaussians(distances, *_RADIAL), scale.unsqueeze(-1)], -1)
        edges = receiving[graph.receivers] + sending[graph.senders] + self.length(lengths)
        pulls = self.strength(nn.functional.silu(edges)) * (graph.vectors / distances.unsqueeze(-1))
        return pulls.new_zeros(len(graph.species), 3).index_add(0, graph.receivers, pulls)
