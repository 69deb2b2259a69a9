"""A backbone pretrained by telling by how much atoms were displaced.

Source: Orb (Neumann et al. 2024), with a backbone of invariant features in place of its network.
"""

from typing import Any

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import elements
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.pretrained import KIND
from ase_crysdiff.networks.displacement import DisplacementNetwork
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.training.pretraining import DenoisingObjective

__all__ = ["KIND", "build", "configure", "objective"]


def build(config: Config) -> DisplacementNetwork:
    """The network of a config."""
    return DisplacementNetwork(make_backbone(config["backbone"]), config["readout"])


def objective(network: DisplacementNetwork, config: Config) -> DenoisingObjective:
    """What such a network is trained for."""
    return DenoisingObjective(network.backbone.neighborhood, config["deviations"])


def configure(data: PackedCrystals) -> dict[str, Any]:
    """The default config."""
    return {
        "recipe": "denoising",
        "kind": KIND,
        "backbone": {
            "name": "pddformer",
            "hidden": 96,
            "layers": 3,
            "neighbors": 12,
            "profile": 24,
        },
        "readout": 64,
        "deviations": [0.03, 0.06, 0.1, 0.17, 0.3],
        "elements": elements(data),
    }
