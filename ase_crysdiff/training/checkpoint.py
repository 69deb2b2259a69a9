"""Training checkpoints: safetensors files that are complete or absent, never torn."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.storage import write_tensors
from ase_crysdiff.training.run_record import RunRecord

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


@dataclass(frozen=True)
class Checkpoint:
    """A run at one step.

    Args:
        progress: Where it is.
        tensors: Averaged weights, weights and moments of the optimiser, as `average:NAME`,
            `weight:NAME`, `exp_avg:NAME` and `exp_avg_sq:NAME`.
        record: What the run began with.
    """

    progress: Progress
    tensors: Mapping[str, Tensor]
    record: RunRecord

    @property
    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights by name of the parameter."""
        return self.part("average")

    def part(self, kind: str) -> dict[str, Tensor]:
        """The tensors of a kind by name of the parameter.

        Args:
            kind: `average`, `weight`, `exp_avg` or `exp_avg_sq`.
        """
        return {
            name.partition(":")[2]: tensor
            for name, tensor in self.tensors.items()
            if name.startswith(f"{kind}:")
        }


def save(
    folder: Path, progress: Progress, tensors: Mapping[str, Tensor], record: RunRecord
) -> Path:
    """Writes the checkpoint of a step and removes all but the last two.

    Args:
        folder: Of the run.
        progress: Where it is.
        tensors: What to keep, by name.
        record: What the run began with.
    """
    metadata = {
        "format": FORMAT,
        "progress": json.dumps(progress.__dict__),
        **record.metadata(),
    }
    path = folder / f"step-{progress.step:09d}.safetensors"
    write_tensors(path, tensors, metadata)
    for old in sorted(folder.glob("step-*.safetensors"))[:-_KEPT]:
        old.unlink()
    return path


def load_newest(folder: Path) -> Checkpoint | None:
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


def load(path: Path) -> Checkpoint:
    """One checkpoint, this version's or one without settings and digests of an older version.

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
    progress = Progress(**json.loads(metadata["progress"]))
    return Checkpoint(progress, tensors, RunRecord.read(metadata))
