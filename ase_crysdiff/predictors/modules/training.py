"""A module from a table: what an encoder says of atoms is corrected until a head can tell the
property. The head is thrown away.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import Split
from ase_crysdiff.models.card import Card, Kind
from ase_crysdiff.models.pretrained import part_of
from ase_crysdiff.networks.encoders.crysformer.modular import MODULE, Bottleneck
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.finetuning import FinetuneSettings, finetune
from ase_crysdiff.predictors.modules.beginning import with_module
from ase_crysdiff.predictors.modules.hub import Module
from ase_crysdiff.predictors.network import PREFIX
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training.described_crystals import module_task

#: Width of modules, unless another is asked for.
WIDTH = 64


def train_module(
    data: LabelledCrystals,
    split: Split,
    target: PropertyTarget,
    base: Mapping[str, str],
    standard: Mapping[str, Tensor],
    settings: FinetuneSettings,
    folder: Path,
    *,
    name: str,
    about: Mapping[str, Any],
    licence: str,
    width: int = WIDTH,
    progress: bool | None = None,
) -> Module:
    """Trains a module beside a frozen encoder, or goes on with the run in the folder.

    Args:
        data: Clean rows, values in the unit of the target.
        split: Which rows train and which choose the weights; there may be none that test.
        target: What is learned.
        base: Name and digest of the encoder.
        standard: What standardises its vectors, alike for all modules of a hub.
        settings: Of the training.
        folder: Of checkpoints and the log.
        name: Of the module.
        about: What its card says of the data.
        licence: Of the data.
        width: Of the bottleneck.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If the rows do not suffice, or the folder holds another run.
    """
    initial = with_module(base, standard, fresh(len(standard["shift"]), width, settings.seed))
    predictor = finetune(
        data,
        split,
        target,
        initial,
        settings,
        folder,
        name=name,
        about=about,
        progress=progress,
        task_of=module_task,
    )
    tensors = part_of(predictor.tensors, PREFIX + MODULE)
    known = predictor.card
    numbers = sum(tensor.numel() for tensor in tensors.values())
    card = Card(
        **{
            **vars(known),
            "config": {**known.config, "kind": Kind.MODULE.value, "recipe": "module"},
            "training": {**known.training, "parameters": numbers},
            "licence": licence,
        }
    )
    rows = [*split.train, *split.validation]
    learned = frozenset(formula_digests(data.crystals.select(rows)))
    return Module(replace(card, sha256=""), {**tensors, **standard}, learned)


def fresh(inputs: int, width: int, seed: int) -> dict[str, Tensor]:
    """Tensors of a module that adds nothing yet.

    Args:
        inputs: Width of the encoder's vectors.
        width: Of the bottleneck.
        seed: Of the first matrix.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = Bottleneck(inputs, width)
    return {name: tensor.detach() for name, tensor in module.named_parameters()}


def formula_digests(crystals: CrystalBatch) -> list[int]:
    """`formula_digest` of every crystal."""
    found = []
    for species in crystals.species.split(crystals.num_atoms.tolist()):
        numbers, counts = species.unique(return_counts=True)
        found.append(formula_digest(dict(zip(numbers.tolist(), counts.tolist(), strict=True))))
    return found


def formula_digest(amounts: Mapping[int, int]) -> int:
    """A number for a reduced formula, the same in every process: by it a module says what it has
    learned from without listing it.

    Args:
        amounts: Number of atoms by atomic number, in any cell.
    """
    common = math.gcd(*amounts.values())
    text = " ".join(f"{z}:{amounts[z] // common}" for z in sorted(amounts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
