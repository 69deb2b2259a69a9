"""A backbone and, on the mean over a crystal's atoms, several small heads that estimate the same
property, or one each.
"""

import torch
from torch import nn

from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.graph import CrystalGraph
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.shapes import Float, Tensor


class PropertyNetwork(nn.Module):
    """Estimates of one property, which agree where the data left no doubt, or of several.

    Args:
        backbone: Crystals to features.
        num_heads: How many heads; their disagreement about one property measures the uncertainty.
    """

    def __init__(self, backbone: Backbone, num_heads: int) -> None:
        super().__init__()
        self.backbone = backbone
        width = backbone.hidden
        self.heads = nn.ModuleList(
            nn.Sequential(Linear(width, width), nn.SiLU(), Linear(width, 1))
            for _ in range(num_heads)
        )

    def forward(self, graph: CrystalGraph) -> Float[Tensor, "crystals heads"]:
        """One estimate of each head, on the scale of the training."""
        features = self.backbone(graph).crystals
        return torch.cat([head(features) for head in self.heads], dim=-1)
