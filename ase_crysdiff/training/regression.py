"""Training of property models: a backbone and heads on crystals with a number each."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.func import functional_call

from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.storage import write_tensors
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.graph_crystals import GraphBatch, GraphCrystals
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

LOSSES: dict[str, Callable[..., Tensor]] = {
    "l1": nn.functional.l1_loss,
    "huber": nn.functional.smooth_l1_loss,
    "mse": nn.functional.mse_loss,
}
_BEST = "best.safetensors"


class PropertyObjective:
    """The loss of every head on its own resample of the crystals, so that the heads differ where
    the data allow it.

    A crystal counts for a head as often as a bootstrap of the training set would draw it (Poisson
    with mean 1), fixed by its position. A single head counts every crystal once. Source: Osband et
    al. 2016, bootstrapped heads on a shared network.

    Args:
        scale: Of the targets.
        loss: `l1`, `huber` or `mse`, on the scale of the network.
        counts: How often each crystal counts for each head, shape (crystals, members); None counts
            all once.

    Raises:
        InputError: If there is no such loss.
    """

    def __init__(
        self, scale: TargetScale, loss: str, counts: Float[Tensor, "rows members"] | None
    ) -> None:
        if loss not in LOSSES:
            raise InputError(f"The loss is one of {', '.join(LOSSES)}, not {loss!r}.")
        self.scale, self.function, self.counts = scale, LOSSES[loss], counts

    def loss(
        self, network: Callable[..., Tensor], batch: GraphBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the mean absolute error of the heads' mean in the unit of the property.

        Args:
            network: A `PropertyNetwork`, possibly wrapped.
            batch: Graph and targets.
            generator: Not used.
        """
        assert batch.targets is not None
        estimates = network(batch.graph)
        targets = batch.targets.to(estimates.dtype)
        wanted = self.scale.forward(targets).unsqueeze(-1).expand_as(estimates)
        losses = self.function(estimates, wanted, reduction="none")
        if self.counts is not None:
            losses = losses * self.counts[batch.rows].to(losses)
        errors = (self.scale.inverse(estimates.detach().mean(-1)) - targets).abs()
        return losses.mean(), {"mae": errors.mean()}


def bootstrap_counts(rows: int, members: int, seed: int) -> Float[Tensor, "rows members"] | None:
    """How often each row counts for each head; None for a single head."""
    if members == 1:
        return None
    generator = torch.Generator().manual_seed(seed)
    return torch.poisson(torch.ones(rows, members), generator=generator)


class RegressionTrainer(Loop):
    """Trains a property network, keeps the averaged weights with the lowest validation error, and
    stops when it rises.

    Args:
        network: What to train; its weights are changed in place.
        config: The names and numbers it was built from, with `scale` and `loss`.
        data: Training crystals.
        validation: Crystals that choose the weights and end the training.
        folder: Where checkpoints and the log go.
        settings: The knobs.
        fabric: A launched Fabric.
        patience: Steps without a lower validation error after which the training ends.
    """

    def __init__(
        self,
        network: PropertyNetwork,
        config: Mapping[str, Any],
        data: LabelledCrystals,
        validation: LabelledCrystals,
        folder: Path,
        settings: TrainSettings,
        fabric: Fabric,
        patience: int,
    ) -> None:
        neighborhood, device = network.backbone.neighborhood, fabric.device
        sets = [
            GraphCrystals(part.crystals, neighborhood, size, device, part.values)
            for part, size in ((data, settings.batch_size), (validation, 4 * settings.batch_size))
        ]
        counts = bootstrap_counts(len(data), len(network.heads), settings.seed)
        self.scale = TargetScale(**config["scale"])
        objective = PropertyObjective(
            self.scale, config["loss"], None if counts is None else counts.to(device)
        )
        self.patience = patience
        super().__init__(
            Task(network, config, sets[0], objective, sets[1]), folder, settings, fabric
        )
        self.best = self._stored_best()

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do: all steps are done, or the validation error has not
        fallen for long.
        """
        step = self.progress.step
        return step >= self.settings.steps or (
            self.best is not None and step - self.best[0] >= self.patience
        )

    def best_weights(self) -> dict[str, Tensor]:
        """The averaged weights with the lowest validation error; the newest ones if nothing was
        validated yet.
        """
        if self.best is None:
            return dict(self.average.weights)
        return checkpoint.load(self.folder / _BEST)[1]

    def _finished(self, deadline: float | None) -> bool:
        return self.finished or super()._finished(deadline)

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run."""
        return self._stop

    def _validate(self, lines: TextIO) -> None:
        error = self.validation_error()
        record = {"step": self.progress.step, "val_mae": error}
        lines.write(json.dumps(record) + "\n")
        lines.flush()
        # Equal errors keep the older weights, so that a resumed run, which repeats them, changes
        # nothing.
        if math.isfinite(error) and (self.best is None or error < self.best[1]):
            self.best = (self.progress.step, error)
            metadata = {
                "format": checkpoint.FORMAT,
                "progress": json.dumps(self.progress.__dict__),
                "config": json.dumps({"best": self.best}),
            }
            write_tensors(self.folder / _BEST, self.average.weights, metadata)

    @torch.no_grad()
    def validation_error(self) -> float:
        """Mean absolute error of the averaged weights, in the unit of the property."""
        network, total, count = self.task.network, 0.0, 0
        assert self.validation is not None
        network.eval()
        for batch in self.validation.everything():
            estimates = functional_call(network, self.average.weights, (batch.graph,))
            total += float(
                (self.scale.inverse(estimates.mean(-1)).double() - batch.targets).abs().sum()
            )
            count += len(batch)
        network.train()
        return total / max(count, 1)

    def _stored_best(self) -> tuple[int, float] | None:
        path = self.folder / _BEST
        if not path.exists():
            return None
        step, error = checkpoint.load(path)[2]["best"]
        return int(step), float(error)
