"""`crysdiff train`: one or several models, one after the other, within a budget of time.

Samplers and backbones learn from packed crystals, potentials and dao-p-noisy from packed labels;
`crysdiff pack` makes both.

Needs torch, numpy, safetensors and lightning only, so that it also runs from a source tree on a
bare machine: `python -m ase_crysdiff.cli train miad --data packed.safetensors`.
"""

import argparse
import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models.pretrained import KIND as BACKBONE
from ase_crysdiff.models.pretrained import fill_parts
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.models.weights import CARD, fill, find, read, read_card
from ase_crysdiff.recipes import dao_p_noisy
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.energy import EnergyTrainer
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.noisy_energy import NoisyEnergyTrainer
from ase_crysdiff.training.pretraining import PretrainingTrainer
from ase_crysdiff.training.settings import PRECISIONS, TrainSettings
from ase_crysdiff.training.trainer import Trainer


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options; every knob of `TrainSettings` is one of them."""
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL[=DATA]",
        help="miad, dao-g-flow, dao-g-flow-perov5=FILE, ...",
    )
    parser.add_argument(
        "--data", type=Path, help="packed training crystals, for models that name none"
    )
    parser.add_argument("--validation", type=Path, help="packed crystals for the validation loss")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("runs"), help="folder of the runs (default runs)"
    )
    parser.add_argument(
        "--from",
        dest="origin",
        type=Path,
        metavar="RUN_OR_WEIGHTS",
        help="start from the averaged weights of a run, or from exported ones, with their config",
    )
    parser.add_argument(
        "--sampler",
        metavar="NAME_OR_WEIGHTS",
        help="sampler that dao-p-noisy is to guide: it learns on the noise of its card",
    )
    parser.add_argument("--minutes", type=float, help="time budget for all models together")
    parser.add_argument(
        "--config",
        type=json.loads,
        default={},
        metavar="JSON",
        help='changes of the config, such as \'{"encoder": {"hidden": 256}}\'',
    )
    parser.add_argument("--accelerator", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument(
        "--devices", type=int, default=1, help="processes of distributed training (default 1)"
    )
    for knob in fields(TrainSettings):
        flag = "--" + knob.name.replace("_", "-")
        if knob.type is bool:
            parser.add_argument(flag, action="store_true", help="compile the network")
        else:
            choices = PRECISIONS if knob.name == "precision" else None
            parser.add_argument(
                flag,
                type=type(knob.default),
                default=knob.default,
                choices=choices,
                help=f"default {knob.default}",
            )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains every model for its share of the time, or on from where its folder is."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = TrainSettings(**{f.name: getattr(options, f.name) for f in fields(TrainSettings)})
    strategy = "ddp" if options.devices > 1 else "auto"
    fabric = Fabric(accelerator=options.accelerator, devices=options.devices, strategy=strategy)
    fabric.launch()
    minutes = None if options.minutes is None else options.minutes / len(options.models)
    for entry in options.models:
        name, _, source = entry.partition("=")
        path = Path(source) if source else options.data
        if path is None:
            raise InputError(
                f"No data for {name}. Give --data packed.safetensors or {name}=packed.safetensors."
            )
        trainer = make_trainer(
            name,
            path,
            options.output / name,
            settings,
            fabric,
            options.config,
            options.validation,
            options.origin,
            options.sampler,
        )
        if fabric.is_global_zero:
            size = sum(p.numel() for p in trainer.task.network.parameters())
            print(
                f"{name}: {size:,} parameters, {len(trainer.data):,} crystals "
                f"({trainer.data.left_out} left out)"
            )
        progress = trainer.run(minutes=minutes)
        if fabric.is_global_zero:
            print(
                f"{name}: step {progress.step:,} of {settings.steps:,}, "
                f"{progress.seconds / 60:.1f} minutes in all"
            )
    return 0


def make_trainer(
    name: str,
    data: Path,
    folder: Path,
    settings: TrainSettings,
    fabric: Fabric,
    changes: Mapping[str, Any],
    validation: Path | None = None,
    origin: Path | None = None,
    sampler: str | None = None,
) -> Loop:
    """The trainer of a model: continued with the folder's config if there is a run, else with the
    recipe's and the changes.

    With an origin a new run has its config and begins with its weights, while steps, optimiser and
    averages start anew: the second stage of a training on other data. A run that is continued has
    left its origin behind. What surrounds a backbone in pretraining may change from stage to stage,
    and only the parts that the origin has begin with its weights.

    Args:
        name: Of the model.
        data: Packed crystals, or labels for a potential.
        folder: Of the run.
        settings: The knobs.
        fabric: A launched Fabric.
        changes: Of the recipe's default config.
        validation: Packed like the data.
        origin: Folder of another run or of exported weights.
        sampler: Name or folder of the weights whose noise a model for guidance learns on.

    Raises:
        CheckpointError: If the origin holds no weights, or they do not fit the model.
        InputError: If the origin is of another kind of model, or changes of its config are asked
            for.
    """
    module = recipe(name)
    kind = getattr(module, "KIND", "sampler")
    is_potential = kind == "potential"
    packed: Any = PackedCrystals if kind in ("sampler", BACKBONE) else Labels
    if sampler is not None and kind != dao_p_noisy.KIND:
        raise InputError(f"--sampler names what dao-p-noisy is to guide; {name} guides nothing.")
    training = packed.load(data)
    held_out = None if validation is None else packed.load(validation)
    found = checkpoint.load_newest(folder) if folder.exists() else None
    start: dict[str, torch.Tensor] | None = None
    if found is not None:
        config = found[2]
    elif origin is not None:
        config, start = _origin(origin, name, changes, changeable=kind == BACKBONE)
    else:
        noise = {} if sampler is None else _noise_of(sampler)
        config = merge(merge(module.configure(training), noise), changes)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            settings.seed
        )  # layers draw their initial weights from the global stream
        model = module.build(config)
    if start is not None and kind == BACKBONE:
        fill_parts(model, start, origin or folder)
    elif start is not None:
        fill(model if is_potential else model.denoiser, start, origin or folder)
    if is_potential:
        return EnergyTrainer(model, config, training, folder, settings, fabric, held_out)
    if kind == BACKBONE:
        aim, neighborhood = module.objective(model, config), model.backbone.neighborhood
        return PretrainingTrainer(
            model, neighborhood, aim, config, training, folder, settings, fabric, held_out
        )
    if kind == dao_p_noisy.KIND:
        return NoisyEnergyTrainer(model, training, folder, settings, fabric, held_out)
    return Trainer(
        model, training, folder, settings, fabric, _fitting(held_out, model.state_space.max_atoms)
    )


def _origin(
    path: Path, name: str, changes: Mapping[str, Any], changeable: bool
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config and averaged weights of a run or of exported weights; a changeable config is so but
    for the backbone.
    """
    fixed = sorted(changes) if not changeable else [key for key in changes if key == BACKBONE]
    if fixed:
        raise InputError(
            f"--from keeps the config of {path}; --config {fixed} cannot change it. Leave one of "
            "them out."
        )
    if (path / CARD).is_file():
        card, tensors = read(path)
        config, label = dict(card.config), card.name
    else:
        found = checkpoint.load_newest(path) if path.is_dir() else None
        if found is None:
            raise CheckpointError(
                f"{path} holds neither a training run nor weights. Give a folder that crysdiff "
                "train or export made."
            )
        _, states, config = found
        tensors = {
            n.removeprefix("average:"): t for n, t in states.items() if n.startswith("average:")
        }
        label = path.name
    made_by = config.get("recipe", "dao-p" if config.get("kind") == "potential" else label)
    if recipe(made_by) is not recipe(name):
        raise InputError(
            f"{path} holds a model of the recipe {made_by!r}, which {name!r} cannot start from."
        )
    return merge(config, changes), tensors


def _noise_of(sampler: str) -> dict[str, Any]:
    """What a sampler's card says of its noise."""
    folder = find(sampler, sampler if Path(sampler).is_dir() else None)
    return dao_p_noisy.noise_of(read_card(folder).config)


def merge(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A config with changes; dictionaries merge, unless a change names another part.

    Raises:
        InputError: If a change concerns something the config does not have.
    """
    unknown = [k for k in changes if k not in config]
    if unknown:
        raise InputError(f"The config has no {unknown}; it has {sorted(config)}.")
    result = dict(config)
    for key, value in changes.items():
        old = config[key]
        same = (
            isinstance(value, dict)
            and isinstance(old, dict)
            and value.get("name", old.get("name")) == old.get("name")
        )
        result[key] = {**old, **value} if same else value
    return result


def _fitting(data: PackedCrystals | None, max_atoms: int) -> PackedCrystals | None:
    return None if data is None else data.select(data.batch.num_atoms <= max_atoms)
