"""How weights become a predictor, and back."""

from dataclasses import replace
from pathlib import Path

import torch

from ase_crysdiff import registry
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, Kind
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.predictors.averaging import AveragedPredictor
from ase_crysdiff.predictors.base import Predictor
from ase_crysdiff.predictors.network import NetworkPredictor
from ase_crysdiff.predictors.potential import HullPredictor, PotentialPredictor


@own_state()
def load_predictor(name: str | Path, device: str | torch.device = "cpu") -> Predictor:
    """A predictor, by its registered name or the folder that `crysdiff finetune` or
    `StructurePredictor.save` wrote.

    Raises:
        UnknownNameError: If there is no such predictor.
        CheckpointError: If its weights are missing, damaged or those of something else.
    """
    if (Path(name) / weight_files.CARD).is_file():
        return from_folder(Path(name).name, name, device)
    found: Predictor = registry.load(registry.PREDICTORS, str(name))(weights=None, device=device)
    return found


@own_state()
def from_folder(
    name: str, weights: str | Path | None = None, device: str | torch.device = "cpu"
) -> Predictor:
    """The predictor of a folder of weights; None takes `CRYSDIFF_WEIGHTS` or the shipped ones of
    that name.
    """
    folder = weight_files.find(name, weights)
    card = weight_files.read_card(folder)
    kind = card.kind
    if kind is not Kind.PREDICTOR:
        raise CheckpointError(
            f"{folder} holds a {kind}, which predicts nothing. Give what crysdiff finetune wrote."
        )
    if "potential" in card.config:
        return _backed(card, device)
    made = AveragedPredictor if "average" in card.config else NetworkPredictor
    return made(*weight_files.read(folder), device)


def save(predictor: Predictor, folder: Path) -> Card:
    """Writes a predictor's weights and card.

    Raises:
        InputError: If it has no weights of its own.
    """
    if not isinstance(predictor, NetworkPredictor | AveragedPredictor):
        raise InputError(
            f"{predictor.card.name} has no weights of its own: it asks a potential. There is "
            "nothing to save."
        )
    fields = {k: v for k, v in predictor.card.__dict__.items() if k != "sha256"}
    return weight_files.save(folder, predictor.tensors, fields)


def _backed(card: Card, device: str | torch.device) -> PotentialPredictor:
    """A predictor that asks a potential. What was measured with other weights of the potential is
    no property of these.

    Cards name the digest of the potential's weights `potential_sha256`; older ones have it at
    `sha256`, where a digest of their own would stand.
    """
    name = card.config["potential"]
    measured_with = card.config.get("potential_sha256", card.sha256)
    now = weight_files.read_card(weight_files.find(name)).sha256
    known = replace(
        card,
        config={**card.config, "potential_sha256": now},
        measured=card.measured if now == measured_with else {},
        sha256="",
    )
    kind = HullPredictor if "hull" in card.config else PotentialPredictor
    return kind(known, load_potential(name, device=device), now[:12])
