"""A generative model as a plain record."""

from dataclasses import dataclass
from pathlib import Path

from ase_crysdiff.crystal.state_space import StateSpace
from ase_crysdiff.models import weights
from ase_crysdiff.models.adapters import whole
from ase_crysdiff.models.card import Card, Config
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.base import Denoiser
from ase_crysdiff.processes.joint import JointProcess


@dataclass(frozen=True)
class GenerativeModel:
    """Everything that turns noise into crystals, save the sampler's settings.

    Args:
        state_space: Rows the model sees against atoms of the crystal.
        joint: Components and their processes.
        denoiser: The network.
        config: The names and numbers that it was built from.
    """

    state_space: StateSpace
    joint: JointProcess
    denoiser: Denoiser
    config: Config


def load(folder: Path) -> tuple[GenerativeModel, Card]:
    """A model with its weights, ready to sample. Weights that are adapters bring their base along.

    Raises:
        CheckpointError: If the weights are truncated, altered, not finite or do not fit the model,
            or the base of adapters is another one.
    """
    card, tensors = whole(folder)
    model: GenerativeModel = recipe(card.config["recipe"]).build(card.config)
    weights.fill(model.denoiser, tensors, folder / weights.WEIGHTS)
    model.denoiser.eval().requires_grad_(False)
    return model, card
