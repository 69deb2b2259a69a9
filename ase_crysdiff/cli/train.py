"""`crysdiff train`: one or several models, one after the other, within a budget of time.

Samplers learn from packed crystals, potentials from packed labels; `crysdiff pack` makes both.

Needs torch, numpy, safetensors and lightning only, so that it also runs from a source tree on a bare machine:
`python -m ase_crysdiff.cli train miad --data packed.safetensors`.
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

from ase_crysdiff.crystal.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.recipes import recipe
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.energy import EnergyTrainer
from ase_crysdiff.training.labels import Labels
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.settings import PRECISIONS, TrainSettings
from ase_crysdiff.training.trainer import Trainer


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options; every knob of `TrainSettings` is one of them."""
    parser.add_argument("models", nargs="+", metavar="MODEL[=DATA]", help="miad, dao-g, dao-g-perov5=perov.safetensors, ...")
    parser.add_argument("--data", type=Path, help="packed training crystals, for models that name none")
    parser.add_argument("--validation", type=Path, help="packed crystals for the validation loss")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs"), help="folder of the runs (default runs)")
    parser.add_argument("--minutes", type=float, help="time budget for all models together")
    parser.add_argument("--config", type=json.loads, default={}, metavar="JSON",
                        help='changes of the config, such as \'{"encoder": {"hidden": 256}}\'')  # fmt: skip
    parser.add_argument("--accelerator", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--devices", type=int, default=1, help="processes of distributed training (default 1)")
    for knob in fields(TrainSettings):
        flag = "--" + knob.name.replace("_", "-")
        if knob.type is bool:
            parser.add_argument(flag, action="store_true", help="compile the network")
        else:
            choices = PRECISIONS if knob.name == "precision" else None
            parser.add_argument(flag, type=type(knob.default), default=knob.default, choices=choices,
                                help=f"default {knob.default}")  # fmt: skip
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
            raise InputError(f"No data for {name}. Give --data packed.safetensors or {name}=packed.safetensors.")
        trainer = make_trainer(name, path, options.output / name, settings, fabric, options.config, options.validation)
        if fabric.is_global_zero:
            size = sum(p.numel() for p in trainer.task.network.parameters())
            print(f"{name}: {size:,} parameters, {len(trainer.data):,} crystals ({trainer.data.left_out} left out)")
        progress = trainer.run(minutes=minutes)
        if fabric.is_global_zero:
            print(f"{name}: step {progress.step:,} of {settings.steps:,}, {progress.seconds / 60:.1f} minutes in all")
    return 0


def make_trainer(
    name: str,
    data: Path,
    folder: Path,
    settings: TrainSettings,
    fabric: Fabric,
    changes: Mapping[str, Any],
    validation: Path | None = None,
) -> Loop:
    """The trainer of a model: continued with the folder's config if there is a run, else with the recipe's and the changes.

    Args:
        name: Of the model.
        data: Packed crystals, or labels for a potential.
        folder: Of the run.
        settings: The knobs.
        fabric: A launched Fabric.
        changes: Of the recipe's default config.
        validation: Packed like the data.
    """
    module = recipe(name)
    is_potential = getattr(module, "KIND", "sampler") == "potential"
    packed: Any = Labels if is_potential else PackedCrystals
    training = packed.load(data)
    held_out = None if validation is None else packed.load(validation)
    found = checkpoint.load_newest(folder) if folder.exists() else None
    config = found[2] if found is not None else merge(module.configure(training), changes)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)  # layers draw their initial weights from the global stream
        model = module.build(config)
    if is_potential:
        return EnergyTrainer(model, config, training, folder, settings, fabric, held_out)
    return Trainer(model, training, folder, settings, fabric, _fitting(held_out, model.state_space.max_atoms))


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
        same = isinstance(value, dict) and isinstance(old, dict) and value.get("name", old.get("name")) == old.get("name")
        result[key] = {**old, **value} if same else value
    return result


def _fitting(data: PackedCrystals | None, max_atoms: int) -> PackedCrystals | None:
    return None if data is None else data.select(data.batch.num_atoms <= max_atoms)
