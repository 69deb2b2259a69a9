"""`crysdiff train`: one or several models, one after the other, within a budget of time.

Samplers and backbones learn from packed crystals, potentials and dao-p-noisy from packed labels;
`crysdiff pack` makes both. A library of prototypes is made at once.

Needs torch, numpy, safetensors and lightning only, so that it also runs from a source tree on a
bare machine: `python -m ase_crysdiff.cli train miad --data packed.safetensors`.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path

from ase_crysdiff.training.settings import PRECISIONS, TrainSettings


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options; every field of `TrainSettings` is one of them."""
    add = parser.add_argument
    add(
        "models",
        nargs="+",
        metavar="MODEL[=DATA]",
        help="miad, dao-g-flow, dao-g-flow-perov5=FILE, ...",
    )
    add("--data", type=Path, help="packed training crystals, for models that name none")
    add("--validation", type=Path, help="packed crystals for the validation loss")
    add("-o", "--output", type=Path, default=Path("runs"), help="folder of the runs (default runs)")
    add(
        "--from",
        dest="origin",
        type=Path,
        metavar="RUN_OR_WEIGHTS",
        help="start from the averaged weights of a run, from exported ones, or of shipped "
        "weights by name, with their config",
    )
    add(
        "--sampler",
        metavar="NAME_OR_WEIGHTS",
        help="sampler that dao-p-noisy is to guide: it learns on the noise of its card",
    )
    add("--minutes", type=float, help="time budget for all models together")
    add(
        "--config",
        type=json.loads,
        default={},
        metavar="JSON",
        help='changes of the config, such as \'{"encoder": {"hidden": 256}}\'',
    )
    add(
        "--extend",
        action="store_true",
        help="let --steps, --cooldown and --learning-rate of a run that goes on differ from before",
    )
    add("--accelerator", default="auto", help="cpu, cuda or auto (default)")
    add("--devices", type=int, default=1, help="processes of distributed training (default 1)")
    for setting in fields(TrainSettings):
        flag = "--" + setting.name.replace("_", "-")
        if setting.type is bool:
            add(flag, action="store_true", help="compile the network")
        else:
            choices = PRECISIONS if setting.name == "precision" else None
            add(
                flag,
                type=type(setting.default),
                default=setting.default,
                choices=choices,
                help=f"default {setting.default}",
            )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains every model for its share of the time, or on from where its folder is."""
    import logging

    from ase_crysdiff.models.recipe import direct_recipe
    from ase_crysdiff.training.run import launched, prepare

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = TrainSettings(**{f.name: getattr(options, f.name) for f in fields(TrainSettings)})
    sources = dict(_source(entry, options.data) for entry in options.models)
    for name in [name for name in sources if direct_recipe(name) is not None]:
        _make(name, sources.pop(name), options)
    if not sources:
        return 0
    fabric = launched(options.accelerator, options.devices)
    minutes = None if options.minutes is None else options.minutes / len(sources)
    for name, path in sources.items():
        loop = prepare(
            name,
            path,
            options.output / name,
            settings,
            fabric,
            options.config,
            validation=options.validation,
            origin=options.origin,
            sampler=options.sampler,
            extend=options.extend,
        )
        size = sum(p.numel() for p in loop.task.network.parameters())
        done = f"{len(loop.data):,} crystals ({loop.data.left_out} left out)"
        if fabric.is_global_zero:
            print(f"{name}: {size:,} parameters, {done}")
        progress = loop.run(minutes=minutes)
        if fabric.is_global_zero:
            print(
                f"{name}: step {progress.step:,} of {settings.steps:,}, "
                f"{progress.seconds / 60:.1f} minutes in all"
            )
            if progress.step < settings.steps:
                print(
                    "The learning rate falls to zero at the last step only. Give the command again "
                    "to go on, or begin with as many --steps as the time allows, and --from "
                    "shipped weights."
                )
    return 0


def _source(entry: str, data: Path | None) -> tuple[str, Path]:
    """The name of a model and the file that it is made from."""
    from ase_crysdiff.errors import InputError

    name, _, source = entry.partition("=")
    path = Path(source) if source else data
    if path is None:
        raise InputError(
            f"No data for {name}. Give --data packed.safetensors or {name}=packed.safetensors."
        )
    return name, path


def _make(name: str, path: Path, options: argparse.Namespace) -> None:
    """Makes a model that needs no training, in the folder of its name."""
    from ase_crysdiff.models.recipe import direct_recipe
    from ase_crysdiff.storage import ensure_writable

    made, folder = direct_recipe(name), options.output / name
    assert made is not None
    ensure_writable(folder)
    card = made.make(path, folder, name, options.config, {})
    print(f"{name}: {folder}, {card.version}; give it as weights of the sampler {made.name}")
