"""Crystals with a property that a generative model can be told, and what being told it is worth."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import bootstrap
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.training.conditioned import ConditionedObjective
from ase_crysdiff.training.task import Task

log = logging.getLogger(__name__)

#: Validations with noise of their own.
_REPEATS = 8


def packed_with(data: LabelledCrystals, name: str, others: Sequence[str] = ()) -> PackedCrystals:
    """Crystals with labels and scaffolds; where no symmetry is found, the crystal is left out.

    Args:
        data: Crystals and values.
        name: Of the property.
        others: Properties that nobody knows of these crystals.
    """
    kept, symmetric = [], []
    for i, structure in enumerate(to_structures(data.crystals)):
        try:
            symmetric.append(find_symmetric(structure))
        except InputError:
            log.info("    %s: no space group is found", data.names[i])
            continue
        kept.append(i)
    chosen = data.select(kept)
    unknown = torch.full((len(kept),), torch.nan)
    columns = {**dict.fromkeys(others, unknown), name: chosen.values.float()}
    return PackedCrystals(
        chosen.crystals, columns, {}, PackedScaffolds.of(symmetric), names=chosen.names
    )


def told_and_untold(model: GenerativeModel, task: Task) -> dict[str, Any]:
    """The loss on crystals held out with the property told and without it, and their difference,
    for the same noise. Its interval is over batches, each with several draws of noise: those of one
    batch are one number.
    """
    assert task.validation is not None
    assert isinstance(task.objective, ConditionedObjective)
    told, untold = (
        ConditionedObjective(task.objective.plain, 0.0, tells) for tells in (True, False)
    )
    losses: list[tuple[float, float]] = []
    for repeat in range(_REPEATS):
        for number, batch in enumerate(task.validation.everything()):
            pair = []
            for objective in (told, untold):
                generator = torch.Generator().manual_seed(1000 * repeat + number)
                with torch.no_grad():
                    pair.append(float(objective.loss(model.denoiser, batch, generator)[0]))
            losses.append((pair[0], pair[1]))
    first, second = (np.array(column) for column in zip(*losses, strict=True))
    gain = second - first
    low, high = bootstrap(lambda a: float(a.mean()), gain.tolist())
    return {
        "validation loss, told": {"value": round(float(first.mean()), 5)},
        "validation loss, not told": {"value": round(float(second.mean()), 5)},
        "gain by being told": {
            "value": round(float(gain.mean()), 5),
            "interval": [round(low, 5), round(high, 5)],
        },
    }
