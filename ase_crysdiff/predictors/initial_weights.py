"""What fine-tuning begins with: the weights of a pretrained encoder or of a predictor, or none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.pretrained import load_backbone
from ase_crysdiff.predictors.averaging import AveragedPredictor
from ase_crysdiff.predictors.loading import load_predictor
from ase_crysdiff.predictors.network import NetworkPredictor
from ase_crysdiff.shapes import Tensor


@dataclass(frozen=True)
class InitialWeights:
    """What fine-tuning begins with.

    Args:
        backbone: Its config.
        elements: Atomic numbers that it knows.
        tensors: Its weights by name; none start from scratch.
        base: Name and digest of the pretrained weights, for adapters; None if there are none that
            could be found again.
    """

    backbone: Config
    elements: frozenset[int]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    base: Mapping[str, str] | None = None

    @staticmethod
    def scratch(backbone: Config) -> "InitialWeights":
        """Initial weights for a backbone's config."""
        return InitialWeights(dict(backbone), frozenset(range(1, NUM_SPECIES)))

    @staticmethod
    def of(name: str | Path) -> "InitialWeights":
        """The backbone of a pretrained encoder or of another predictor, by name or folder.

        Raises:
            IncompatibleError: If the predictor has no backbone, because it asks a potential.
            CheckpointError: If there are no such weights.
        """
        folder = weight_files.find(
            str(name), name if (Path(name) / weight_files.CARD).is_file() else None
        )
        if weight_files.read_card(folder).kind is Kind.ENCODER:
            backbone, card = load_backbone(folder)
            base = {"name": card.name, "sha256": card.sha256}
            tensors = {n: p.detach() for n, p in backbone.named_parameters()}
            return InitialWeights(card.config["backbone"], frozenset(card.elements), tensors, base)
        return InitialWeights.of_predictor(load_predictor(folder))

    @staticmethod
    def of_predictor(predictor: Any) -> "InitialWeights":
        """The backbone of a predictor, adapters merged; of an average that of its network."""
        if isinstance(predictor, AveragedPredictor):
            if predictor.network is None:
                raise IncompatibleError(
                    f"{predictor.card.name} averages a forest and a kernel regression and has no "
                    "encoder to fine-tune. Begin with a pretrained encoder: "
                    'StructurePredictor("crysldnet").finetune(...).'
                )
            predictor = predictor.network
        if not isinstance(predictor, NetworkPredictor):
            raise IncompatibleError(
                f"{predictor.card.name} asks a potential and has no encoder to fine-tune. Begin "
                "with a pretrained encoder: "
                'StructurePredictor("crysldnet").finetune(...).'
            )
        tensors = {n: p.detach() for n, p in predictor.backbone.named_parameters()}
        return InitialWeights(predictor.card.config["backbone"], predictor.elements, tensors)
