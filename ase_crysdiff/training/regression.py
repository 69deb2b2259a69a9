"""Training of property models: a backbone and heads on crystals with a number each."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.training.graph_crystals import GraphBatch, GraphCrystals
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import EarlyStopping, Task

LOSSES: dict[str, Callable[..., Tensor]] = {
    "l1": nn.functional.l1_loss,
    "huber": nn.functional.smooth_l1_loss,
    "mse": nn.functional.mse_loss,
}


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


def regression_task(
    network: PropertyNetwork,
    config: Mapping[str, Any],
    data: LabelledCrystals,
    validation: LabelledCrystals,
    settings: TrainSettings,
    device: torch.device,
    patience: int,
) -> Task:
    """The training of a property network that keeps the averaged weights with the lowest validation
    error, and ends when it has not fallen for long.

    Args:
        network: Its weights are changed in place.
        config: The names and numbers it was built from, with `scale` and `loss`.
        data: Training crystals.
        validation: Crystals that choose the weights and end the training.
        settings: `batch_size` and `seed` count here.
        device: Where the batches live.
        patience: Steps without a lower validation error after which the training ends.
    """
    neighborhood = network.backbone.neighborhood
    training, held_out = (
        GraphCrystals(part.crystals, neighborhood, size, device, part.values)
        for part, size in ((data, settings.batch_size), (validation, 4 * settings.batch_size))
    )
    inputs = {"data": data.digest, "validation": validation.digest}
    return task_on(network, config, training, held_out, inputs, settings.seed, len(data), patience)


def task_on(
    network: PropertyNetwork,
    config: Mapping[str, Any],
    training: GraphCrystals,
    held_out: GraphCrystals,
    inputs: Mapping[str, str],
    seed: int,
    rows: int,
    patience: int,
) -> Task:
    """The training of a property network on batches that are there already.

    Args:
        network: Its weights are changed in place.
        config: The names and numbers it was built from, with `scale` and `loss`.
        training: Batches of the training crystals.
        held_out: Batches of the crystals that choose the weights.
        inputs: Digests of what the result depends on.
        seed: Of the resamples.
        rows: Number of training crystals.
        patience: Steps without a lower validation error after which the training ends.
    """
    counts = bootstrap_counts(rows, len(network.heads), seed)
    objective = PropertyObjective(
        TargetScale.of_card(config["scale"]),
        config["loss"],
        None if counts is None else counts.to(training.device),
    )
    return Task(
        network, config, training, objective, held_out, inputs, EarlyStopping("mae", patience)
    )
