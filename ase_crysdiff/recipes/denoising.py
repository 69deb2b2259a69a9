"""A backbone pretrained by telling by how much atoms were displaced.

Source: Orb (Neumann et al. 2024), with a backbone of invariant features in place of its network.
"""

from typing import Any

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import elements
from ase_crysdiff.models.card import Config
from ase_crysdiff.networks.displacement import DisplacementNetwork
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.training.pretraining import DisplacementObjective, PretrainingRecipe


class Denoising(PretrainingRecipe):
    """Telling by how much each atom was displaced."""

    name = "denoising"

    def build(self, config: Config) -> DisplacementNetwork:
        """The network of a config."""
        return DisplacementNetwork(make_backbone(config["backbone"]), config["readout"])

    def objective(self, network: DisplacementNetwork, config: Config) -> DisplacementObjective:
        """What such a network is trained for."""
        return DisplacementObjective(network.backbone.neighborhood, config["deviations"])

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config."""
        return {
            "recipe": self.name,
            "kind": self.kind,
            "backbone": dict(self.backbone),
            "readout": 64,
            "deviations": [0.03, 0.06, 0.1, 0.17, 0.3],
            "elements": elements(data),
        }


RECIPE = Denoising()
