"""The averaged weights with the lowest validation error, kept beside a run's checkpoints."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from ase_crysdiff.shapes import Tensor
from ase_crysdiff.storage import write_tensors
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.checkpoint import Progress
from ase_crysdiff.training.run_record import RunRecord
from ase_crysdiff.training.task import EarlyStopping


class BestWeights:
    """Keeps the best averaged weights of a run in a file, and tells when to stop.

    Args:
        folder: Of the run.
        rule: Which error counts and for how long it may not fall.
    """

    def __init__(self, folder: Path, rule: EarlyStopping) -> None:
        self.path, self.rule = folder / "best.safetensors", rule
        #: Step and error of the best weights; None if nothing was validated yet.
        self.best: tuple[int, float] | None = None
        if self.path.exists():
            step, error = checkpoint.load(self.path).record.config["best"]
            self.best = int(step), float(error)

    def offer(self, error: float, progress: Progress, weights: Mapping[str, Tensor]) -> None:
        """Keeps weights if their error is lower than that of the kept ones.

        Equal errors keep the older weights, so that a resumed run, which repeats them, changes
        nothing.

        Args:
            error: Of the validation set; one that is not finite is passed over.
            progress: Where the run is.
            weights: By name.
        """
        if math.isfinite(error) and (self.best is None or error < self.best[1]):
            self.best = (progress.step, error)
            metadata = {
                "format": checkpoint.FORMAT,
                "progress": json.dumps(progress.__dict__),
                **RunRecord({"best": self.best}).metadata(),
            }
            write_tensors(self.path, weights, metadata)

    def stale(self, step: int) -> bool:
        """Whether the error has not fallen for as many steps as the rule allows."""
        return self.best is not None and step - self.best[0] >= self.rule.patience

    def weights(self) -> Mapping[str, Tensor] | None:
        """The kept weights by name; None if nothing was validated yet."""
        return None if self.best is None else checkpoint.load(self.path).tensors
