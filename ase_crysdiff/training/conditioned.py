"""Training of denoisers that are told properties of the crystals: any objective, with the labels
of each batch in its context.

Each property of each crystal is left out at random, so that the model learns what it knows without
it; guidance needs both.

Source: Ho & Salimans 2022 for leaving out; each property by itself as in Zeni et al. 2025.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.crystal.state_space import MirageSpace
from ase_crysdiff.data.buckets import BucketedCrystals
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.property_columns import rows_of
from ase_crysdiff.data.symmetric_buckets import SymmetricCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.networks.base import Context
from ase_crysdiff.networks.conditioning import PREFIX
from ase_crysdiff.processes.joint import Prediction
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training.symmetric import MixedCrystals
from ase_crysdiff.training.task import Objective, Task

#: Share of the crystals from which each property is hidden.
HIDDEN = 0.1


@dataclass(frozen=True)
class ToldBatch:
    """A batch and what is known of its crystals.

    Args:
        crystals: Of whatever kind the objective takes.
        told: Rows of each property by name, see `Property.row`; NaN where nobody knows.
    """

    crystals: Any
    told: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.crystals)


class ToldCrystals:
    """A set of crystals with labels.

    Args:
        crystals: By number of rows.
        rows: Of each property, one for each crystal, by the positions that buckets call `members`.
    """

    def __init__(
        self, crystals: BucketedCrystals | SymmetricCrystals, rows: Mapping[str, Tensor]
    ) -> None:
        self.crystals, self.rows = crystals, rows
        self.left_out = crystals.left_out

    def __len__(self) -> int:
        return len(self.crystals)

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[ToldBatch]:
        """The batches of one epoch, those of the crystals alone with their labels."""
        return self._told(self.crystals.plan(seed, epoch, rank, world_size))

    def everything(self) -> Iterator[ToldBatch]:
        """Every crystal once, in order, for validation."""
        return self._told(self.crystals.in_order())

    def _told(self, plan: Iterator[tuple[Any, Tensor]]) -> Iterator[ToldBatch]:
        for bucket, rows in plan:
            members = bucket.members[rows]
            told = {name: values.to(members.device)[members] for name, values in self.rows.items()}
            yield ToldBatch(bucket.batch(rows), told)


class ConditionedObjective:
    """An objective whose network is told the labels.

    Args:
        plain: The objective of the crystals alone.
        hidden: Share of the crystals from which each property is hidden while training.
        tells: Whether anything is told at all; without it is the loss of the model that is told
            nothing.
    """

    def __init__(self, plain: Objective, hidden: float = HIDDEN, tells: bool = True) -> None:
        self.plain, self.hidden, self.tells = plain, hidden, tells

    def loss(
        self, network: Callable[..., Prediction], batch: ToldBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss, its parts as the plain objective has them, and itself among them.

        Args:
            network: The network of the model, possibly wrapped.
            batch: Crystals with labels.
            generator: Source of times, noise and of what is hidden.
        """
        told = self._shown(batch, generator) if self.tells else {}

        def informed(state: Any, t: Tensor, given: Context, layout: Any) -> Prediction:
            return network(state, t, {**given, **told}, layout)

        total, parts = self.plain.loss(informed, batch.crystals, generator)
        return total, {**parts, "total": total.detach()}

    def _shown(self, batch: ToldBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """What is told; in validation all."""
        if not (torch.is_grad_enabled() and self.hidden):
            return dict(batch.told)
        shown = {}
        for name, rows in batch.told.items():
            draw = torch.rand(len(rows), generator=generator, device=generator.device)
            shown[name] = rows.masked_fill((draw < self.hidden)[:, None].to(rows.device), torch.nan)
        return shown


def conditioned(
    task: Task,
    model: GenerativeModel,
    data: PackedCrystals,
    validation: PackedCrystals | None = None,
    hidden: float = HIDDEN,
) -> Task:
    """The training of a model on crystals and what is known of them.

    Args:
        task: That on the crystals alone.
        model: Its config declares the properties.
        data: Training crystals with their labels.
        validation: Crystals for the validation loss, with labels.
        hidden: Share of the crystals from which each property is hidden.

    Raises:
        InputError: If a property is not known of the data.
    """
    held_out = task.validation
    if validation is not None and held_out is not None:
        held_out = _told(held_out, model, validation)
    return replace(
        task,
        data=_told(task.data, model, data),
        objective=ConditionedObjective(task.objective, hidden),
        validation=held_out,
        inputs={**task.inputs, "labels": _digest(data, model)},
    )


def train_adapters_only(model: GenerativeModel, names: frozenset[str]) -> None:
    """Freezes everything but the adapters of some properties, in place."""
    prefixes = tuple(f"{PREFIX}adapters.{name}." for name in names)
    for name, parameter in model.denoiser.named_parameters():
        parameter.requires_grad_(name.startswith(prefixes))


def _digest(data: PackedCrystals, model: GenerativeModel) -> str:
    """SHA-256 over all that is told, in the order of the names."""
    found = hashlib.sha256()
    for name, rows in sorted(rows_of(data, declared(model.config["properties"])).items()):
        found.update(name.encode() + rows.contiguous().numpy().tobytes())
    return found.hexdigest()


def _told(batches: Any, model: GenerativeModel, data: PackedCrystals) -> Any:
    """Batches of crystals with their labels."""
    rows = rows_of(data, declared(model.config["properties"]))
    if isinstance(batches, BucketedCrystals):
        kept = data.batch.num_atoms <= model.state_space.max_atoms
    elif isinstance(batches, SymmetricCrystals):
        kept = torch.ones(len(data), dtype=torch.bool)
        if isinstance(model.state_space, MirageSpace) and data.scaffolds is not None:
            kept = data.scaffolds.num_atoms <= model.state_space.max_atoms
    elif isinstance(batches, MixedCrystals):
        plain, symmetric = (_told(b, model, data) for b in (batches.plain, batches.symmetric))
        return MixedCrystals(plain, symmetric, batches.share)
    else:
        raise InputError(f"Crystals of a {type(batches).__name__} cannot be told properties.")
    return ToldCrystals(batches, {name: values[kept] for name, values in rows.items()})
