"""Training checkpoints: safetensors files that are complete or absent, never torn."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.storage import write_tensors

FORMAT = "crysdiff-checkpoint-1"
_KEPT = 2


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Args:
        step: Optimiser steps done.
        epoch: Epoch in progress, counted from 0.
        position: Batches of that epoch done.
        seconds: Time spent in training.
        crystals: Training crystals seen.
    """

    step: int = 0
    epoch: int = 0
    position: int = 0
    seconds: float = 0.0
    crystals: int = 0


def save(
    folder: Path, progress: Progress, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> Path:
    """Writes the checkpoint of a step and removes all but the last two."""
    metadata = {
        "format": FORMAT,
        "progress": json.dumps(progress.__dict__),
        "config": json.dumps(config, sort_keys=True),
    }
    path = folder / f"step-{progress.step:09d}.safetensors"
    write_tensors(path, tensors, metadata)
    for old in sorted(folder.glob("step-*.safetensors"))[:-_KEPT]:
        old.unlink()
    return path


def load_newest(folder: Path) -> tuple[Progress, dict[str, Tensor], dict[str, Any]] | None:
    """The newest readable checkpoint of a folder; None if there is none at all.

    Raises:
        CheckpointError: If there are checkpoints but none can be read.
    """
    paths = sorted(folder.glob("step-*.safetensors"), reverse=True)
    errors = []
    for path in paths:
        try:
            return load(path)
        except CheckpointError as error:
            errors.append(str(error))
    if errors:
        raise CheckpointError("No checkpoint can be read. " + " ".join(errors))
    return None


def load(path: Path) -> tuple[Progress, dict[str, Tensor], dict[str, Any]]:
    """Progress, tensors and config of one checkpoint.

    Raises:
        CheckpointError: If the file is damaged, of another kind or holds numbers that are not
            finite.
    """
    try:
        with safe_open(str(path), "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is no checkpoint of this version (format {metadata.get('format')!r})."
        )
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise CheckpointError(f"{path} holds numbers that are not finite.")
    return Progress(**json.loads(metadata["progress"])), tensors, json.loads(metadata["config"])
