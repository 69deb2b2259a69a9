"""Training of generative models: noise at a random time, and the network tells it from the
crystal.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from ase_crysdiff.crystal.batch import CrystalBatch, Level
from ase_crysdiff.data.buckets import BucketedCrystals
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.property_columns import declare
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config, Kind
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.recipe import Recipe, Tensors
from ase_crysdiff.networks.conditioning import PREFIX
from ase_crysdiff.processes.joint import Prediction
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training.precision import set_products
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task
from ase_crysdiff.training.times import stratified_times

#: Arguments of encoders that weights which were trained without them can begin with.
ADDITIONS = frozenset({"distances"})
#: Crystals of a batch in validation, where no gradients take memory.
VALIDATION_BATCH = 256


class DenoisingObjective:
    """Noise at a random time, one per crystal, and the loss of every component's prediction.

    Args:
        model: State space, processes and loss weights. The network is passed to `loss`, because
            training wraps it.
    """

    def __init__(self, model: GenerativeModel) -> None:
        self.model = model

    def loss(
        self, denoiser: Callable[..., Prediction], batch: CrystalBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts, each a mean over rows.

        Args:
            denoiser: The network of the model, possibly wrapped.
            batch: Extended crystals of one size.
            generator: Source of times and noise.
        """
        space, joint = self.model.state_space, self.model.joint
        layout = batch.layout

        def rng(name: str, level: Level) -> GeneratorStream:
            return GeneratorStream(layout.rows(level), generator, layout.dtype)

        batch = space.refresh(batch, rng("mirage", "atom"))
        clean = joint.encode(batch)
        t = stratified_times(layout.num_crystals, generator).to(layout.dtype)
        state, target = joint.corrupt(clean, t, layout, rng)
        given = {} if "species" in joint.components else {"species": batch.species}
        prediction = denoiser(state, t, given, layout)
        weights = {name: space.loss_weights(batch, name) for name in joint.components}
        losses = joint.loss(prediction, target, state, t, layout, weights)
        parts = {name: _mean(rows, weights[name]) for name, rows in losses.items()}
        total = sum(joint.components[name].loss_weight * part for name, part in parts.items())
        assert isinstance(total, Tensor)
        return total, {name: part.detach() for name, part in parts.items()}


def _mean(rows: Tensor, weights: Tensor | None) -> Tensor:
    return rows.mean() if weights is None else (rows * weights).mean()


def denoising_task(
    model: GenerativeModel,
    data: PackedCrystals,
    settings: TrainSettings,
    device: torch.device,
    validation: PackedCrystals | None = None,
) -> Task:
    """The training of a generative model on crystals.

    Args:
        model: Its denoiser's weights are changed in place.
        data: Training crystals; those that the state space cannot hold are left out.
        settings: `batch_size`, `max_pairs` and `precision` count here.
        device: Where the batches live.
        validation: Crystals for the validation loss.

    Raises:
        InputError: If the model can hold none of the crystals.
    """
    space = model.state_space
    training = BucketedCrystals(data, space, settings.batch_size, settings.max_pairs, device)
    if not len(training):
        raise InputError(f"No training crystal has at most {space.max_atoms} atoms.")
    held_out = (
        None
        if validation is None
        else BucketedCrystals(validation, space, VALIDATION_BATCH, settings.max_pairs, device)
    )
    set_products(model.denoiser.encoder, settings, device)
    objective = DenoisingObjective(model)
    inputs = {"data": data.digest}
    return Task(model.denoiser, model.config, training, objective, held_out, inputs)


#: How it is trained: shares of batches that are symmetric, and of labels that are hidden.
SHARES = ("symmetric_share", "hidden_share")


class GenerativeRecipe(Recipe):
    """A generative model that learns by denoising packed crystals; `build` and `configure` are to
    be written.
    """

    kind: ClassVar[Kind] = Kind.SAMPLER
    optional: ClassVar[tuple[str, ...]] = ("processes", "symmetric_share", "properties")

    def resolved(self, config: Config, data: PackedCrystals) -> dict[str, Any]:
        """The config with properties declared that it names alone.

        Raises:
            InputError: If one of them is not known of the data.
        """
        names = config.get("properties") or ()
        if isinstance(names, Mapping) or not names:
            return dict(config)
        found = declare(data, names)
        return {**config, "properties": {name: one.as_plain() for name, one in found.items()}}

    def fixed_by_origin(self, changes: Config) -> list[str]:
        """All but how it is trained, the shares of symmetric batches and of hidden labels, and what
        an encoder may read and be told in addition.
        """
        free = {*SHARES, "properties", "adapter_width"}
        if isinstance(encoder := changes.get("encoder"), dict) and set(encoder) <= ADDITIONS:
            free.add("encoder")
        return sorted(set(changes) - free)

    def exported(
        self, config: Config, tensors: Tensors, whole: bool = False
    ) -> tuple[Config, Tensors]:
        """All but the shares of symmetric batches and of hidden labels, which are no part of a
        model: a training that goes on from it is told its own.
        """
        return {key: value for key, value in config.items() if key not in SHARES}, tensors

    def load_data(self, path: Path) -> PackedCrystals:
        return PackedCrystals.load(path)

    def task(
        self,
        model: GenerativeModel,
        config: Config,
        data: PackedCrystals,
        settings: TrainSettings,
        device: torch.device,
        validation: PackedCrystals | None = None,
    ) -> Task:
        if config.get("symmetric_share"):
            from ase_crysdiff.training.symmetric import mixed_task

            task = mixed_task(model, data, settings, device, validation)
        else:
            task = denoising_task(model, data, settings, device, validation)
        if not config.get("properties"):
            return task
        from ase_crysdiff.training.conditioned import HIDDEN, conditioned

        return conditioned(task, model, data, validation, config.get("hidden_share", HIDDEN))

    def fill(self, model: GenerativeModel, tensors: Tensors, source: Path) -> None:
        """Copies weights; adapters that they lack begin as they are, where they change nothing, and
        those of properties that the model is not told are left out.
        """
        own = dict(model.denoiser.named_parameters())
        kept = {n: one for n, one in tensors.items() if not n.startswith(PREFIX) or n in own}
        begin = {n: p.detach() for n, p in own.items() if n.startswith(PREFIX) and n not in kept}
        super().fill(model, {**kept, **begin}, source)

    def network(self, model: GenerativeModel) -> nn.Module:
        return model.denoiser
