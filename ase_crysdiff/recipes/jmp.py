"""JMP: a backbone pretrained on many properties at once.

Source: Shoghi et al. 2024, "From molecules to materials: pre-training large generalizable models
for atomic property prediction", ICLR 2024. There energies and forces of four data sets of
molecules, surfaces and crystals train a network of 30 to 235 million parameters; here it is any
columns of a table of crystals, and a backbone that a CPU can train.
"""

from typing import Any

import torch

from ase_crysdiff import arguments
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import elements
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.training.joint import JointObjective, targets
from ase_crysdiff.training.pretraining import PretrainingRecipe

#: What `crysdiff pack` writes of every crystal, and is no property to learn.
_COUNTS = "n_atoms"


class JMP(PretrainingRecipe):
    """A head for each of many properties on one backbone."""

    name = "jmp"

    def build(self, config: Config) -> PropertyNetwork:
        """The network of a config."""
        return PropertyNetwork(make_backbone(config["backbone"]), len(config["properties"]))

    def objective(self, network: PropertyNetwork, config: Config) -> JointObjective:
        """What such a network is trained for.

        Raises:
            InputError: If the temperature is not above 0.
        """
        known = config["properties"]
        scales = [TargetScale(one["mean"], one["std"]) for one in known.values()]
        rows = config["crystals"], [one["rows"] for one in known.values()]
        temperature = arguments.above_zero("temperature", config["temperature"])
        return JointObjective(list(known), scales, rows, temperature)

    def targets(
        self, config: Config, data: PackedCrystals
    ) -> Float[Tensor, "crystals properties"] | None:
        return targets(config["properties"], data)

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config: every column with numbers that differ.

        Raises:
            InputError: If there is none.
        """
        properties: dict[str, dict[str, float | int]] = {}
        for name, column in data.values.items():
            known = column[torch.isfinite(column)].double()
            if name == _COUNTS or len(known) < 2 or not bool((known != known[0]).any()):
                continue
            scale = TargetScale.of(known)
            properties[name] = {"mean": scale.mean, "std": scale.std, "rows": len(known)}
        if not properties:
            raise InputError(
                "The packed crystals have no column of a property. Pack a table with some: "
                "crysdiff pack table.csv."
            )
        return {
            "recipe": self.name,
            "kind": self.kind,
            "backbone": dict(self.backbone),
            "properties": properties,
            "crystals": len(data),
            "temperature": 2.0,
            "elements": elements(data),
        }


RECIPE = JMP()
