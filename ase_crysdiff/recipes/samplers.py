"""The samplers that ship, which the entry points of `ase_crysdiff.samplers` name, and one by-product that has none."""

from functools import partial
from pathlib import Path

import torch

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.recipes import weights as weight_files
from ase_crysdiff.recipes.backbones import load_latent_model
from ase_crysdiff.recipes.chggen import MODELS, HostFiller
from ase_crysdiff.sampling.latent_sampler import LatentSampler
from ase_crysdiff.sampling.model_sampler import ModelSampler


def load_sampler(name: str, weights: str | Path | None = None, device: str = "cpu") -> ModelSampler:
    """The sampler of a model.

    Args:
        name: Name of the model, and of the folder of its weights.
        weights: Folder with other weights of the same kind; None takes `CRYSDIFF_WEIGHTS` or the shipped ones.
        device: Where to compute, as torch spells it.

    Raises:
        CheckpointError: If the weights are missing, damaged or none of a sampler.
    """
    folder = weight_files.find(name, weights)
    kind = weight_files.read_card(folder).config.get("kind", "sampler")
    if kind != "sampler":
        raise CheckpointError(f"{folder} holds a {kind}, from which nothing can be drawn. Give the weights of a sampler.")
    model, card = weight_files.load(folder)
    return ModelSampler(model, card, torch.device(device))


miad = partial(load_sampler, "miad")
dao_g = partial(load_sampler, "dao-g")
dao_g_flow = partial(load_sampler, "dao-g-flow")
dao_g_perov5 = partial(load_sampler, "dao-g-perov5")


def chggen(weights: str | Path | None = None, device: str = "cpu") -> HostFiller:
    """The sampler that fills hosts: the shipped models, or the one in a folder of weights."""
    names = MODELS if weights is None else (weight_files.read_card(weight_files.find("chggen", weights)).name,)
    return HostFiller(names, partial(load_sampler, weights=weights, device=device))


def crysldnet(weights: str | Path | None = None, device: str = "cpu") -> LatentSampler:
    """Draws from the latent prior of a pretraining, a by-product without an entry point: its crystals are not worth one.

    Weights that do not say how large their crystals were take the sizes of the shipped miad's.

    Args:
        weights: Folder that `crysdiff export crysldnet RUN --whole` wrote; None looks for the name `crysldnet`.
        device: Where to compute, as torch spells it.

    Raises:
        CheckpointError: If the weights are missing or damaged, or lack decoders or a denoiser.
    """
    network, card = load_latent_model("crysldnet" if weights is None else weights)
    sizes = card.config.get("sizes") or weight_files.read_card(weight_files.find("miad")).config["sizes"]
    return LatentSampler(network, card, {int(n): count for n, count in sizes.items()}, torch.device(device))
