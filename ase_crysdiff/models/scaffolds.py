"""The model of scaffolds by name: what proposes space groups and sites."""

from pathlib import Path

import torch

from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel

#: Name of the weights that ship, and of the recipe.
WYCKOFF = "wyckoff"


def load_scaffold_model(
    name: str = WYCKOFF, weights: str | Path | None = None
) -> tuple[ScaffoldModel, Card]:
    """The probability of scaffolds, from trained weights, in evaluation mode.

    Args:
        name: Of the model, and of the folder of its weights.
        weights: Folder that `crysdiff export` wrote; None takes `CRYSDIFF_WEIGHTS` or the shipped
            ones.

    Raises:
        CheckpointError: If the weights are missing, damaged or those of something else.
    """
    what = "a model of scaffolds"
    folder, card, tensors = weight_files.read_made_by(WYCKOFF, what, name, weights)
    with torch.random.fork_rng(devices=[]):  # the initial weights are overwritten
        network: ScaffoldModel = recipe(WYCKOFF).build(card.config)
    weight_files.fill(network, tensors, folder / weight_files.WEIGHTS)
    return network.requires_grad_(False).eval(), card
