"""From a sampler and a table of a property to adapters: the sampler can then be told the property.

The weights of the sampler stay as they are. Called again after an interruption, the training goes
on where it was.
"""

import logging
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ase_crysdiff import registry
from ase_crysdiff.campaigns.telling import packed_with, told_and_untold
from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.property_columns import declare, unit_for
from ase_crysdiff.data.property_tables import Row, TableReport, labelled, read_rows
from ase_crysdiff.data.splits import by_shares, groups_of
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.adapters import BASE, save_adapters, whole
from ase_crysdiff.models.card import Card, Config, Kind
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.parts import processes
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.conditioning import PREFIX
from ase_crysdiff.training.conditioned import ConditionedObjective, train_adapters_only
from ase_crysdiff.training.denoising import GenerativeRecipe
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.run import initial, launched
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import EarlyStopping, Task

log = logging.getLogger(__name__)

_TRAINING = "training"
#: Share of symmetric batches, for flows, which are mostly drawn on the sites of space groups.
_SYMMETRIC = 0.5
#: Rows left out that are named one by one.
_NAMED = 20


@dataclass(frozen=True)
class AdapterSettings:
    """How adapters are trained.

    Args:
        steps: of the optimiser, at most
        batch_size: crystals per step
        learning_rate: largest of the training
        patience: validations without a lower error after which the training ends
        seed: of initial weights, order of the data and noise
    """

    steps: int = 600
    batch_size: int = 32
    learning_rate: float = 3e-3
    patience: int = 8
    seed: int = 0

    @property
    def course(self) -> TrainSettings:
        """As the loop takes them: twenty validations or more."""
        every = max(1, min(100, self.steps // 20))
        return TrainSettings(
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup=min(100, self.steps // 10),
            ema_decay=0.99,
            weight_decay=0.01,
            seed=self.seed,
            validate_every=every,
            checkpoint_every=5 * every,
            log_every=every,
        )


@dataclass(frozen=True, kw_only=True)
class AdaptOptions:
    """Options of `adapt_table`.

    Args:
        data: table (.csv, .csv.gz) with a column cif or file, and the property
        property: what the sampler will be told, such as band_gap
        column: column of the property; default its name
        unit: unit of the column, such as eV; default that of a property that this package knows
        output: folder of the adapters; its name is theirs
        split: random, composition or chemical-system: what stays together
        validation: share that stops the training and measures what the property tells
        minutes: time budget
    """

    data: Path
    property: str
    column: str | None = None
    unit: str | None = None
    output: Path
    split: str = "composition"
    validation: float = 0.15
    minutes: float | None = None


def adapt_table(
    sampler: str,
    options: AdaptOptions,
    settings: AdapterSettings,
    weights: str | None = None,
    device: str = "cpu",
) -> Card:
    """Trains adapters on a table and writes them with a card.

    Args:
        sampler: Name of the sampler.
        options: Where from and where to, and what is held out.
        settings: Of the training.
        weights: Folder with other weights of the sampler.
        device: Where to compute.

    Raises:
        InputError: If an option or the table cannot be used, the unit is another one than that of
            the property, or the folder holds another run.
        IncompatibleError: If the sampler takes no adapters.
        CheckpointError: If there are no such weights.
    """
    unit = unit_for(options.property, options.unit)
    rows = read_rows(options.data, options.column or options.property, unit)
    return adapt(
        sampler,
        rows,
        options.property,
        unit,
        options.output,
        settings,
        weights=weights,
        split=options.split,
        validation=options.validation,
        minutes=options.minutes,
        device=device,
        source=options.data.name,
    )[0]


@own_state(one_thread=False)
def adapt(
    sampler: str,
    rows: Sequence[Row],
    name: str,
    unit: str,
    folder: Path,
    settings: AdapterSettings,
    *,
    weights: str | None = None,
    split: str = "composition",
    validation: float = 0.15,
    minutes: float | None = None,
    device: str = "cpu",
    source: str = "structures",
    progress: bool | None = None,
) -> tuple[Card, TableReport]:
    """Trains adapters on rows of crystals and values, and writes them with a card.

    The loss on the crystals held out, with the property told and without, says what the sampler
    has learnt of it.

    Args:
        sampler: Name of the sampler.
        rows: Of a table, or made from structures and values.
        name: Of the property.
        unit: Of the values.
        folder: Of the adapters; its name is theirs.
        settings: Of the training.
        weights: Folder with other weights of the sampler.
        split: "random", "composition" or "chemical-system": what stays together.
        validation: Share that stops the training.
        minutes: Time budget.
        device: Where to compute.
        source: What the card says of where the rows come from.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If the rows do not suffice, or the folder holds another run.
        IncompatibleError: If the sampler takes no adapters, or is told that property already.
        CheckpointError: If there are no such weights.
        KeyboardInterrupt: If a signal ended the training; the same call goes on with it.
    """
    if weights is None and sampler == registry.DEFAULT:
        raise IncompatibleError(
            f"{sampler!r} leaves requests to other samplers. Name the one that is to be taught: "
            "miad, dao-g or dao-g-flow."
        )
    place = weight_files.find(sampler, weights)
    base, tensors = whole(place)
    _check(sampler, base, name)
    data, report = labelled(rows, elements=base.elements, progress=progress)
    log.info("%s", report.summary())
    for row, reason in report.left_out[:_NAMED]:
        log.info("    %s: %s", row, reason)
    parts = by_shares(groups_of(data.crystals, split), validation, 0.0, settings.seed)
    train, held_out = (
        packed_with(data.select(part), name, list(declared(base.config.get("properties"))))
        for part in (parts.train, parts.validation)
    )
    config = _config(base, name, unit, train)
    made = recipe(config["recipe"])
    assert isinstance(made, GenerativeRecipe)
    model = initial(made, config, settings.seed)
    made.fill(model, tensors, place)
    train_adapters_only(model, frozenset({name}))
    fabric = launched("cpu" if device == "cpu" else "cuda")
    course = settings.course
    task = _task(made, model, (train, held_out), course, fabric.device, base, settings)
    loop = Loop(task, folder / _TRAINING, course, fabric)
    if not loop.finished:
        loop.run(minutes, progress)
        if loop.interrupted:
            raise KeyboardInterrupt
    best = loop.best_weights()
    weight_files.fill(model.denoiser, best, folder)
    about = {
        "data": source,
        "table": {"read": report.read, "kept": report.kept},
        "rows": {"train": len(train), "validation": len(held_out)},
        "split": parts.digests(data.names),
        "split_by": split,
        "settings": asdict(settings),
        "steps": loop.progress.step,
        "hours": round(loop.progress.seconds / 3600, 3),
        "hardware": f"{device}, {platform.machine()}, {torch.get_num_threads()} threads",
    }
    own = {n: t for n, t in best.items() if n.startswith(PREFIX)}
    about["parameters"] = sum(t.numel() for t in own.values())
    card = save_adapters(
        folder,
        own,
        base,
        name=folder.name,
        properties=config["properties"],
        training=about,
        measured={"results": told_and_untold(model, task)},
        licence="as the data it was trained on, and as its base",
    )
    return card, report


def _check(sampler: str, base: Card, name: str) -> None:
    """Refuses samplers that take no adapters."""
    made = base.config.get("recipe", sampler)
    is_denoiser = base.kind is Kind.SAMPLER and "encoder" in base.config
    if not (is_denoiser and isinstance(recipe(made), GenerativeRecipe)):
        raise IncompatibleError(
            f"{sampler!r} has no denoiser that adapters could stand in. miad, dao-g and dao-g-flow "
            "have; others can be steered by a predictor: conditions=[PropertySteering(...)]."
        )
    if name in (base.config.get("properties") or {}):
        raise IncompatibleError(
            f"{sampler!r} with these weights is told {name} already. Fine-tune its base "
            f"{base.config.get(BASE, {}).get('name', sampler)!r} instead."
        )


def _config(base: Card, name: str, unit: str, train: PackedCrystals) -> Config:
    """The config of the model with its adapters."""
    own = declare(train, [name], {name: unit})[name]
    config = {key: value for key, value in base.config.items() if key != BASE}
    config["properties"] = {**(config.get("properties") or {}), name: own.as_plain()}
    config.pop("symmetric_share", None)
    if processes(config)["frac_coords"]["name"] == "torus-flow":
        config["symmetric_share"] = _SYMMETRIC
    return config


def _task(
    made: GenerativeRecipe,
    model: GenerativeModel,
    sets: tuple[PackedCrystals, PackedCrystals],
    course: TrainSettings,
    device: torch.device,
    base: Card,
    settings: AdapterSettings,
) -> Task:
    """The training of the adapters. Nothing is hidden: told nothing, the model is its base, which
    does not change.
    """
    train, held_out = sets
    task = made.task(model, model.config, train, course, device, held_out)
    assert isinstance(task.objective, ConditionedObjective)
    inputs = {**task.inputs, "base": base.sha256, "validation": held_out.digest}
    return replace(
        task,
        objective=ConditionedObjective(task.objective.plain, 0.0),
        inputs=inputs,
        early_stopping=EarlyStopping("total", settings.patience * course.validate_every),
    )
