"""What a run of training is given: a network, data and an objective. The loop knows no more of
it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from ase_crysdiff.shapes import Tensor


@runtime_checkable
class Batches(Protocol):
    """A training or validation set. `left_out` counts what could not be used."""

    left_out: int

    def __len__(self) -> int:
        """Members of the set."""
        ...

    def epoch(self, seed: int, epoch: int, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """The batches of one epoch, a pure function of the arguments. The length of a batch counts
        its members.
        """
        ...

    def everything(self) -> Iterator[Any]:
        """Every member once, for validation."""
        ...


@runtime_checkable
class Objective(Protocol):
    """What a run minimises."""

    def loss(
        self, network: Callable[..., Any], batch: Any, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch and named numbers for the log, means over the batch."""
        ...


@dataclass(frozen=True)
class EarlyStopping:
    """Training that ends when the validation error has not fallen for long, and keeps the averaged
    weights of the lowest one.

    Args:
        error: Which of the objective's named numbers, on the validation set.
        patience: Steps without a lower error after which the training ends.
    """

    error: str
    patience: int


@dataclass(frozen=True)
class Task:
    """What a run trains, on what, and what for.

    Args:
        network: Its parameters are changed in place.
        config: The names and numbers it was built from; stored in every checkpoint.
        data: Training set.
        objective: What is minimised.
        validation: Set for the validation loss.
        inputs: Digests of everything else that the result depends on, by name: `data`, the
            `validation` set where it chooses the weights, the `origin` of the initial weights. A
            run goes on only with the same.
        early_stopping: When to end before the last step; None never does.
    """

    network: nn.Module
    config: Mapping[str, Any]
    data: Batches
    objective: Objective
    validation: Batches | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    early_stopping: EarlyStopping | None = None
