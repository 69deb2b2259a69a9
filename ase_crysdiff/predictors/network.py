"""Predictors with a network of their own: a backbone with heads, or adapters beside a shared
backbone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, Config
from ase_crysdiff.models.pretrained import load_backbone
from ase_crysdiff.networks.adapters import attach, merge
from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.graph import build_graph
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.predictors.base import Estimates, Predictor, portions
from ase_crysdiff.shapes import Float, Tensor

#: What the names of the backbone's tensors begin with in a property network.
PREFIX = "backbone."


class NetworkPredictor(Predictor):
    """A backbone with heads.

    Args:
        card: Its config says how the network was built and what its estimates mean.
        tensors: As stored with the card: with an adapter, only what the frozen backbone does not
            hold.
        device: Where to compute.

    Raises:
        CheckpointError: If the card lacks the scale of the targets, the tensors do not fit, or the
            frozen backbone is not there.
    """

    def __init__(
        self, card: Card, tensors: Mapping[str, Tensor], device: str | torch.device = "cpu"
    ) -> None:
        super().__init__(card)
        missing = [entry for entry in ("backbone", "members", "scale") if entry not in card.config]
        if missing:
            raise CheckpointError(
                f"The card of {card.name} lacks {missing}; without them its weights mean nothing."
            )
        self.tensors, self.device = dict(tensors), torch.device(device)
        adapted = card.config.get("adapter") is not None
        network = build(card.config, frozen_backbone(card.config["base"]) if adapted else None)
        frozen = {n: p for n, p in network.named_parameters() if not p.requires_grad}
        weight_files.fill(network, {**frozen, **tensors}, Path(card.name) / weight_files.WEIGHTS)
        merge(network.backbone)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.scale = TargetScale.of_card(card.config["scale"])

    @property
    def backbone(self) -> Backbone:
        """The trained backbone, adapters merged."""
        return self.network.backbone

    def predict(self, crystals: CrystalBatch) -> Estimates:
        estimates = self.estimates(crystals)
        values = self.scale.inverse(estimates.mean(-1))
        factor = self.card.config.get("uncertainty")
        uncertainty = (
            torch.full_like(values, torch.nan) if factor is None else factor * self.std(estimates)
        )
        missing = torch.nonzero(~torch.isfinite(values)).flatten().tolist()
        return Estimates(
            values,
            uncertainty,
            dict.fromkeys(missing, "the network gave a number that is not finite"),
        )

    def estimates(self, crystals: CrystalBatch) -> Float[Tensor, "crystals heads"]:
        """Estimates of the heads, on the scale of the training."""
        return _by_portions(
            lambda graph: self.network(graph).double(), self.backbone, crystals, self.device
        )

    def std(self, estimates: Float[Tensor, "crystals heads"]) -> Float[Tensor, " crystals"]:
        """Standard deviation of the heads' estimates in the unit of the property; it wants
        calibration.

        Args:
            estimates: Of the heads, on the scale of the training.
        """
        return self.scale.inverse(estimates).std(-1)


def build(config: Config, backbone: Backbone | None = None) -> PropertyNetwork:
    """The network of a config, with its adapters; initial weights come from the global stream.

    Args:
        config: Of a predictor.
        backbone: Already trained; None makes one.
    """
    network = PropertyNetwork(backbone or make_backbone(config["backbone"]), int(config["members"]))
    if config.get("adapter") is not None:
        attach(network.backbone, int(config["adapter"]["rank"]), float(config["adapter"]["scale"]))
    return network


def frozen_backbone(base: Mapping[str, Any]) -> Backbone:
    """The pretrained backbone that an adapter was made for.

    Raises:
        CheckpointError: If there is no such backbone, or one of that name with other weights.
    """
    backbone, card = load_backbone(base["name"])
    if card.sha256 != base["sha256"]:
        raise CheckpointError(
            f"The adapter was made for {base['name']} {base['sha256'][:12]}…, but that name now "
            f"stands for {card.version}…. "
            "Put the folder of the old weights into CRYSDIFF_WEIGHTS, or fine-tune again."
        )
    return backbone


def features(backbone: Backbone, crystals: CrystalBatch) -> Float[Tensor, "crystals hidden"]:
    """What a backbone makes of crystals: the mean over their atoms."""
    device = next(backbone.parameters()).device
    return _by_portions(lambda graph: backbone(graph).crystals, backbone, crystals, device)


@torch.no_grad()
def _by_portions(
    function: Any, backbone: Backbone, crystals: CrystalBatch, device: torch.device
) -> Tensor:
    """Rows of a function of graphs, in the order of the crystals, on the CPU."""
    if not len(crystals):
        raise InputError("There are no crystals to look at.")
    chosen = portions(crystals)
    found = [
        function(build_graph(crystals.select(rows).to(device), backbone.neighborhood)).cpu()
        for rows in chosen
    ]
    return torch.cat(found)[torch.argsort(torch.cat(chosen))]
