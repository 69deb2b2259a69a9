"""The model that assembles frameworks from rigid blocks, as a plain record."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, Config
from ase_crysdiff.models.parts import LATTICES, part
from ase_crysdiff.networks.frameworks.assembler import Assembler
from ase_crysdiff.networks.frameworks.denoiser import RigidDenoiser
from ase_crysdiff.processes.rigid import RigidProcess

#: Name of the weights that ship, and of the recipe.
MOFFLOW = "mofflow"


@dataclass(frozen=True)
class FrameworkModel:
    """Everything that turns blocks and noise into frameworks, save the sampler's settings.

    Args:
        joint: Flows of lattice, centres and rotations.
        denoiser: The network.
        config: The names and numbers that it was built from.
    """

    joint: RigidProcess
    denoiser: RigidDenoiser
    config: Config


def build_framework_model(config: Config) -> FrameworkModel:
    """The model of a config, with initial weights from torch's global generator.

    Raises:
        InputError: If the config names a part or an argument that does not exist.
    """
    lattice = part(LATTICES, config["lattice"], "lattice representation")
    joint = RigidProcess(lattice, config.get("loss_weights"))
    try:
        network = Assembler(lattice, **config["network"])
    except TypeError as error:
        raise InputError(f"the network of {MOFFLOW} does not take that: {error}") from error
    return FrameworkModel(joint, RigidDenoiser(network, joint), config)


def load_framework_model(
    name: str = MOFFLOW, weights: str | Path | None = None
) -> tuple[FrameworkModel, Card]:
    """A model with its weights, ready to sample.

    Args:
        name: Of the model, and of the folder of its weights.
        weights: Folder that `crysdiff export` wrote; None takes `CRYSDIFF_WEIGHTS` or the shipped
            ones.

    Raises:
        CheckpointError: If the weights are missing, damaged or those of something else.
    """
    what = "a model that assembles frameworks"
    folder, card, tensors = weight_files.read_made_by(MOFFLOW, what, name, weights)
    with torch.random.fork_rng(devices=[]):  # the initial weights are overwritten
        model = build_framework_model(card.config)
    weight_files.fill(model.denoiser.network, tensors, folder / weight_files.WEIGHTS)
    model.denoiser.requires_grad_(False).eval()
    return model, card
