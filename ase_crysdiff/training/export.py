"""From a training run to weights that a sampler, a potential or a predictor can be made of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Card
from ase_crysdiff.models.recipe import recipe_of
from ase_crysdiff.training import checkpoint

#: Steps and corrector sizes of a model that nobody has tuned yet.
UNTUNED = {"steps": 200, "corrections": {}}
LICENCE = "CC BY 4.0 (trained on data under CC BY 4.0; see training.data)"


def export(
    run: Path,
    target: Path,
    name: str,
    *,
    sampling: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    licence: str = LICENCE,
    matrices: torch.dtype = torch.float32,
    whole: bool = False,
) -> Card:
    """Writes the averaged weights of a run's newest checkpoint with a card; measured numbers are
    added later.

    What ships and what the card's config says of it is up to the recipe, see `Recipe.exported`.

    Args:
        run: Folder of the training run.
        target: Folder to write.
        name: Name of the weights.
        sampling: Default steps and corrector sizes; only samplers keep them.
        training: What to say about data and hardware, beside what the checkpoint knows.
        licence: Of the weights.
        matrices: Number type of the file's matrices; computation is always in float32. bfloat16
            halves the file; measure whether it costs quality. Vectors (biases, scales of norms)
            stay as they are: they weigh nothing.
        whole: Whether a pretrained backbone keeps what only its pretraining needs.

    Raises:
        CheckpointError: If the run has no checkpoint, or its weights do not fit its config.
    """
    found = checkpoint.load_newest(run)
    if found is None:
        raise CheckpointError(
            f"{run} has no checkpoint to export. Train first: crysdiff train {name} --data ... -o "
            f"{run}"
        )
    made = recipe_of(found.record.config, name)
    averaged = {n: t.to(matrices) if t.ndim > 1 else t for n, t in found.averaged.items()}
    config, tensors = made.exported(found.record.config, averaged, whole)
    about = {
        **(training or {}),
        "steps": found.progress.step,
        "crystals_seen": found.progress.crystals,
        "hours": round(found.progress.seconds / 3600, 2),
        "parameters": sum(t.numel() for t in tensors.values()),
    }
    processes = (found.record.settings or {}).get("processes", 1)
    if processes > 1:  # the hours are those of each
        about["processes"] = processes
    if found.record.history:
        about["history"] = list(found.record.history)
    if not made.kind.draws:  # nothing is drawn from potentials and their like
        sampling = {}
    content = {
        "name": name,
        "config": config,
        "sampling": dict(UNTUNED if sampling is None else sampling),
        "training": about,
        "measured": {},
        "elements": config["elements"],
        "licence": licence,
    }
    return weights.save(target, tensors, json.loads(json.dumps(content)))
