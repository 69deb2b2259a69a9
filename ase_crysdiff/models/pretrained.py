"""Pretrained backbones by name: what fine-tuning begins with."""

from collections.abc import Mapping
from pathlib import Path

import torch

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, Kind
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.latent.crysldnet import CrysLDNet
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.shapes import Tensor

#: The part of a pretraining that fine-tuning begins with.
BACKBONE = "backbone"
#: Parts of a pretraining that nobody needs afterwards: the denoiser of latents, the readout of
#: displacements, the heads of properties.
_TRAINING_ONLY = ("denoiser.", "ends.", "length.", "strength.", "heads.")


def load_backbone(name: str | Path, device: str | torch.device = "cpu") -> tuple[Backbone, Card]:
    """A pretrained backbone, ready to be trained further.

    Args:
        name: Of weights in `CRYSDIFF_WEIGHTS` or in the package, such as `crysldnet`; or a folder
            that `crysdiff export` wrote.
        device: Where to put it.

    Raises:
        CheckpointError: If the weights are missing, damaged or those of something else.
    """
    folder = folder_of(name)
    card, tensors = weight_files.read(folder)
    with torch.random.fork_rng(
        devices=[]
    ):  # the initial weights, which are overwritten, must not disturb anybody's draws
        backbone = make_backbone(card.config["backbone"])
    weight_files.fill(backbone, part_of(tensors, f"{BACKBONE}."), folder / weight_files.WEIGHTS)
    return backbone.to(device), card


def load_autoencoder(name: str | Path) -> tuple[CrysLDNet, Card]:
    """A pretrained backbone with its decoders, to be judged.

    Args:
        name: Of weights in `CRYSDIFF_WEIGHTS` or in the package, such as `crysldnet`; or a folder
            that `crysdiff export` wrote.

    Raises:
        CheckpointError: If the weights are missing, damaged or hold no decoders.
    """
    return _load(name, "vae", {"decoders.": _NO_DECODERS})


_NO_DECODERS = (
    "The pretraining of {} had no decoders. Give the weights of a crysldnet of the stage 'vae' or "
    "'both'."
)


def _load(name: str | Path, stage: str, needed: Mapping[str, str]) -> tuple[CrysLDNet, Card]:
    """The parts of a stage, and what to say where one is missing."""
    folder = folder_of(name)
    card, tensors = weight_files.read(folder)
    for prefix, message in needed.items():
        if not part_of(tensors, prefix):
            raise CheckpointError(message.format(folder))
    with torch.random.fork_rng(devices=[]):
        network: CrysLDNet = recipe(card.config["recipe"]).build({**card.config, "stage": stage})
    fill_parts(network, tensors, folder / weight_files.WEIGHTS)
    return network.eval().requires_grad_(False), card


def folder_of(name: str | Path) -> Path:
    """The folder of a pretrained backbone's weights.

    Raises:
        CheckpointError: If there is none, or it holds something else.
    """
    folder = weight_files.find_named(name)
    kind = weight_files.read_card(folder).kind
    if kind != Kind.ENCODER:
        raise CheckpointError(
            f"{folder} holds a {kind}, not a pretrained backbone. Give the name or folder of one: "
            "crysdiff train crysldnet."
        )
    return folder


def exportable_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a pretraining that are worth shipping: the backbone, and the decoders, if any,
    to judge it by.

    Args:
        tensors: All weights by name.
    """
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(_TRAINING_ONLY)}


def fill_parts(network: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copies the parts of a pretraining that another one has, too; the backbone must be among them.

    Args:
        network: Its parts are its children. Those that the tensors do not speak of are left alone.
        tensors: By part and name. Parts that the network does not have are passed over.
        path: Where they come from.

    Raises:
        CheckpointError: If there is no backbone, or a part is not as it must be.
    """
    parts = {name: part_of(tensors, f"{name}.") for name, _ in network.named_children()}
    if not parts.get(BACKBONE):
        raise CheckpointError(
            f"{path} holds no weights of a backbone. Give a folder that crysdiff train or export "
            "made."
        )
    for name, found in parts.items():
        if found:
            weight_files.fill(network.get_submodule(name), found, path)


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
