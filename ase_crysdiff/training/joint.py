"""Joint training on many properties at once, of which each crystal has some."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.training.graph_crystals import GraphBatch


class JointObjective:
    """The loss of one head for each property, on the crystals whose value is known.

    Tables differ in size a hundredfold. Drawing a batch's rows from table t as often as n_t^(1/T)
    balances them; here every batch is a plain one, and a label of table t weighs as much as such a
    draw would make it count on average: n_t^(1/T - 1), scaled so that a crystal's labels weigh 1 on
    average. T = 1 counts every label alike, a large T every table.

    Args:
        names: Of the properties, in the order of the heads.
        scales: Of each property.
        rows: Crystals of the training set, and those with a value of each property.
        temperature: T.

    Source: Shoghi et al. 2024 (JMP), heads for each task, Huber losses and temperature sampling
    with T = 2; weights in place of draws are ours.
    """

    def __init__(
        self,
        names: Sequence[str],
        scales: Sequence[TargetScale],
        rows: tuple[int, Sequence[int]],
        temperature: float,
    ) -> None:
        self.names, self.scales = tuple(names), tuple(scales)
        self.weights = weights(*rows, temperature)

    def loss(
        self, network: Callable[..., Tensor], batch: GraphBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the mean absolute error of each property that the batch knows, in its
        standard deviations.

        Args:
            network: A `PropertyNetwork` with a head for each property, possibly wrapped.
            batch: Graph and targets, shape (crystals, properties), NaN where not known.
            generator: Not used.
        """
        assert batch.targets is not None
        estimates = network(batch.graph)
        wanted = self.forward(batch.targets).to(estimates.dtype)
        known = wanted.isfinite()
        wanted = wanted.where(known, estimates.detach())
        losses = nn.functional.smooth_l1_loss(estimates, wanted, reduction="none")
        total = (losses * self.weights.to(losses)).sum() / len(batch)
        errors = (estimates.detach() - wanted).abs().sum(0)
        found = {
            name: errors[k] / known[:, k].sum()
            for k, name in enumerate(self.names)
            if bool(known[:, k].any())
        }
        return total, found

    def forward(
        self, values: Float[Tensor, "crystals properties"]
    ) -> Float[Tensor, "crystals properties"]:
        """Values in their units as the heads estimate them."""
        columns = zip(self.scales, values.unbind(-1), strict=True)
        return torch.stack([scale.forward(column) for scale, column in columns], dim=-1)


def weights(crystals: int, rows: Sequence[int], temperature: float) -> Float[Tensor, " properties"]:
    """What a label of each property weighs.

    Args:
        crystals: Of the training set.
        rows: Crystals with a value of each property.
        temperature: T of n^(1/T).
    """
    counts = torch.tensor(rows, dtype=torch.float64)
    shares = counts ** (1 / temperature)
    return (shares / shares.sum() * crystals / counts).float()


def targets(names: Iterable[str], data: PackedCrystals) -> Float[Tensor, "crystals properties"]:
    """Columns of packed crystals side by side.

    Args:
        names: Of the properties; one without a column is not known of any crystal.
        data: Packed.
    """
    unknown = torch.full((len(data),), torch.nan)
    return torch.stack([data.values.get(name, unknown) for name in names], dim=-1)
