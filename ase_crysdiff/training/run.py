"""Training by name: what `crysdiff train` does, for Python.

    from ase_crysdiff.training.run import train
    from ase_crysdiff.training.settings import TrainSettings

    train("miad", "data.safetensors", "runs/miad", TrainSettings(steps=20_000), minutes=60)

The same call goes on with the run in the folder; other data, another config or other settings are
refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.models.recipe import Recipe, recipe
from ase_crysdiff.models.weights import find_named, read_card
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.checkpoint import Progress
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.origin import Origin, merge
from ase_crysdiff.training.run_record import ORIGIN, differences, plain
from ase_crysdiff.training.settings import TrainSettings


@own_state(one_thread=False)
def train(
    name: str,
    data: str | Path,
    folder: str | Path,
    settings: TrainSettings | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    validation: str | Path | None = None,
    origin: str | Path | None = None,
    sampler: str | None = None,
    extend: bool = False,
    minutes: float | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    progress: bool | None = None,
) -> Progress:
    """Trains a model, or goes on with the run in the folder.

    Args:
        name: Of a recipe, such as `miad`, or one that begins with it, such as `miad-oxides`.
        data: Packed crystals, or packed labels for a potential.
        folder: Of the run: checkpoints and `log.jsonl`.
        settings: How to train; None takes the defaults.
        changes: Of the recipe's default config, such as `{"encoder": {"hidden": 256}}`.
        validation: Packed in the same way as the data, for the validation loss.
        origin: Folder of another run or of exported weights to begin with, or a name.
        sampler: Name or folder of the weights whose noise a model for guidance learns on.
        extend: Whether steps, cooldown and learning rate of the run in the folder may change.
        minutes: Time budget of this call; None trains to the last step.
        accelerator: `cpu`, `cuda` or `auto`.
        devices: Processes of distributed training.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Returns:
        Where the run is.

    Raises:
        InputError: If the run in the folder began with something else, or the data, the origin or
            the config cannot be used.
        CheckpointError: If checkpoints or the origin are damaged, or the weights do not fit.
    """
    loop = prepare(
        name,
        Path(data),
        Path(folder),
        settings or TrainSettings(),
        launched(accelerator, devices),
        changes or {},
        validation=None if validation is None else Path(validation),
        origin=None if origin is None else Path(origin),
        sampler=sampler,
        extend=extend,
    )
    return loop.run(minutes, progress)


def launched(accelerator: str = "auto", devices: int = 1) -> Fabric:
    """Lightning's Fabric, ready to train.

    Args:
        accelerator: `cpu`, `cuda` or `auto`.
        devices: Processes; with several, each takes batches of its own (DDP).
    """
    strategy = "ddp" if devices > 1 else "auto"
    fabric = Fabric(accelerator=accelerator, devices=devices, strategy=strategy)
    fabric.launch()
    return fabric


def prepare(
    name: str,
    data: Path,
    folder: Path,
    settings: TrainSettings,
    fabric: Fabric,
    changes: Mapping[str, Any],
    *,
    validation: Path | None = None,
    origin: Path | None = None,
    sampler: str | None = None,
    extend: bool = False,
) -> Loop:
    """The loop of a run, new or where its folder is; `run` trains it.

    With an origin a new run has its config and begins with its weights, while steps, optimiser and
    averages start anew: the second stage of a training on other data. What surrounds a backbone in
    pretraining may change from stage to stage.

    Args:
        name: Of the model.
        data: Packed crystals, or labels for a potential.
        folder: Of the run.
        settings: How to train.
        fabric: A launched Fabric.
        changes: Of the recipe's default config.
        validation: Packed in the same way as the data.
        origin: Folder of another run or of exported weights, or the name of shipped ones.
        sampler: Name or folder of the weights whose noise a model for guidance learns on.
        extend: Whether steps, cooldown and learning rate of the run in the folder may change.

    Raises:
        InputError: If the run in the folder began with something else, or the origin is of another
            kind of model, or changes of its config are asked for.
        CheckpointError: If the origin holds no weights, or they do not fit the model.
    """
    made = recipe(name)
    noise = None if sampler is None else _config_of(sampler)
    training = made.load_data(data)
    held_out = None if validation is None else made.load_data(validation)
    start = None if origin is None else Origin.read(origin)
    if start is not None:
        config = start.config_for(made, name, changes, training)
    else:
        config = made.configure(training)
        config = config if noise is None else made.guiding(config, noise)
        config = merge(config, changes, made.optional)
    config = _of_the_run(folder, made.resolved(config, training))
    model = initial(made, config, settings.seed)
    if start is not None:
        made.fill(model, start.tensors, start.path)
    task = made.task(model, config, training, settings, fabric.device, held_out)
    if start is not None:
        task = replace(task, inputs={**task.inputs, ORIGIN: start.digest})
    return Loop(task, folder, settings, fabric, extend)


def initial(made: Recipe, config: Mapping[str, Any], seed: int) -> Any:
    """A model with initial weights that depend on the seed alone.

    Args:
        made: How it is built.
        config: From what.
        seed: Of torch's global generator, from which layers draw their weights; its state is
            restored.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return made.build(config)


def _of_the_run(folder: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of the run in the folder where it is that which is asked for, to the digits in
    which statistics of the data may differ from machine to machine.
    """
    found = checkpoint.load_newest(folder) if folder.exists() else None
    if found is None or any(differences(found.record.config, plain(config))):
        return config  # where it differs, the loop says in what
    return found.record.config


def _config_of(sampler: str) -> Mapping[str, Any]:
    """The config on a sampler's card, by name or folder."""
    return read_card(find_named(sampler)).config
