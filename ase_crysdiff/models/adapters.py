"""Weights that are adapters of other weights: a small folder that names the digest of its base.

The card of adapters has the entry `base` in its config, `{"name": "miad", "sha256": "..."}`, beside
the properties that they declare; everything else of the config is the base's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Card

if TYPE_CHECKING:
    import torch

#: Entry of the config of adapters that names what they belong to.
BASE = "base"


def whole(folder: Path) -> tuple[Card, "dict[str, torch.Tensor]"]:
    """Card and tensors of a folder, with those of the base where it holds adapters.

    Raises:
        CheckpointError: If weights are damaged, or the base is not to be found or another one.
    """
    card, tensors = weights.read(folder)
    base = card.config.get(BASE)
    if base is None:
        return card, tensors
    place = weights.find(base["name"])
    found, own = weights.read(place)
    if found.sha256 != base["sha256"]:
        raise CheckpointError(
            f"{folder} holds adapters of the weights {base['sha256'][:12]} of {base['name']!r}, "
            f"but {place} holds {found.version}. Adapters fit their own base alone: set "
            "CRYSDIFF_WEIGHTS to a folder that holds it, or fine-tune again."
        )
    config = {**found.config, **card.config}
    return Card(**{**vars(card), "config": config}), {**own, **tensors}


def save_adapters(
    folder: Path,
    tensors: "Mapping[str, torch.Tensor]",
    base: Card,
    *,
    name: str,
    properties: Mapping[str, Any],
    training: Mapping[str, Any],
    measured: Mapping[str, Any],
    licence: str,
) -> Card:
    """Writes adapters with their card.

    Args:
        folder: Created if need be.
        tensors: Those of the adapters by name.
        base: Card of the base, or of adapters of it.
        name: Of the adapters.
        properties: Declarations of all properties that the adapters serve, by name.
        training: What the card says of the training.
        measured: What it says of the result.
        licence: Of the adapters.
    """
    root = base.config.get(BASE, {"name": base.name, "sha256": base.sha256})
    sampling = {} if base.sampling is None else base.sampling.as_dict()
    config = {"recipe": base.config["recipe"], BASE: root, "properties": properties}
    content = {
        "name": name,
        "config": config,
        "sampling": sampling,
        "training": training,
        "measured": measured,
        "elements": list(base.elements),
        "licence": licence,
    }
    return weights.save(folder, tensors, content)
