"""Weights as samplers of molecules: what the entry points of `ase_crysdiff.molecule_samplers`
name.
"""

from functools import partial
from pathlib import Path

import torch

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Kind
from ase_crysdiff.models.generative import load
from ase_crysdiff.sampling.molecules.sampler import MoleculeModelSampler


def load_molecule_sampler(
    name: str, weights: str | Path | None = None, device: str = "cpu"
) -> MoleculeModelSampler:
    """The sampler of a model of molecules.

    Args:
        name: Name of the model, and of the folder of its weights.
        weights: Folder with other weights of the same kind; None takes `CRYSDIFF_WEIGHTS` or the
            shipped ones.
        device: Where to compute, as torch spells it.

    Raises:
        CheckpointError: If the weights are missing, damaged or none of molecules.
    """
    folder = weight_files.find(name, weights)
    card = weight_files.read_card(folder)
    if card.kind is not Kind.MOLECULE_SAMPLER:
        raise CheckpointError(
            f"{folder} holds {card.name!r}, which makes no molecules. Give weights that crysdiff "
            "train geobfn has made."
        )
    model, card = load(folder)
    return MoleculeModelSampler(model, card, torch.device(device))


geobfn = partial(load_molecule_sampler, "geobfn")
