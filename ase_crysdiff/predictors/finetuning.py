"""Fine-tuning: a pretrained backbone, or one from scratch, and a table of a property become a
predictor.
"""

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import Split
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, Config, Kind
from ase_crysdiff.networks.adapters import adapter_tensors
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.predictors.averaging import MODELS, NETWORK
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.descriptors.describing import BLOCKS, NEEDED, USUAL
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.predictors.measuring import calibration, coverage, rows_of_part
from ase_crysdiff.predictors.network import PREFIX, NetworkPredictor, build
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.regression import LOSSES, regression_task
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task


@dataclass(frozen=True)
class FinetuneSettings:
    """How a predictor is made from a backbone.

    Args:
        models: What may take part in the average: `network`, `forest`, `kernel`. Without the
            network nothing is trained, and the rest takes a minute.
        descriptors: Kinds of descriptors that forest and kernel regression read: `composition`,
            `geometry`, `answers`, `encoder`, `potential`, and by choice `elasticity`, for what has
            to do with stiffness.
        small: Keeps about a megabyte of forest and kernel regression, however many rows there are.
        adapter: Rank of low-rank adapters on a frozen backbone; None trains all of it.
        members: Heads, each trained on its own resample; their spread is the uncertainty.
        transform: `log` or `log1p` (natural) where values spread over decades; None learns them as
            they are.
        loss: `l1`, `huber` or `mse`.
        epochs: Passes over the training rows, at most.
        patience: Epochs without a lower validation error after which training ends.
        batch_size: Crystals per step.
        learning_rate: Peak of AdamW.
        weight_decay: Of AdamW.
        seed: Of initial heads, resamples and order of the rows.
    """

    models: tuple[str, ...] = MODELS
    descriptors: tuple[str, ...] = USUAL
    small: bool = False
    adapter: int | None = None
    members: int = 4
    transform: str | None = None
    loss: str = "l1"
    epochs: int = 100
    patience: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    seed: int = 0

    def __post_init__(self) -> None:
        low = [n for n in ("members", "epochs", "patience", "batch_size") if getattr(self, n) < 1]
        if low or (self.adapter is not None and self.adapter < 1):
            raise InputError(f"{', '.join(low) or 'The rank of the adapter'} must be at least 1.")
        if not self.models or set(self.models) - set(MODELS):
            raise InputError(
                f"The models that are averaged are some of {', '.join(MODELS)}, not {self.models}."
            )
        if set(self.descriptors) - set(BLOCKS) or set(NEEDED) - set(self.descriptors):
            raise InputError(
                f"Descriptors are some of {', '.join(BLOCKS)}, {' and '.join(NEEDED)} among them, "
                f"not {self.descriptors}."
            )
        transform_of(self.transform)
        if self.loss not in LOSSES:
            raise InputError(f"The loss is one of {', '.join(LOSSES)}, not {self.loss!r}.")

    @property
    def read(self) -> tuple[str, ...]:
        """Kinds of descriptors that somebody reads: beside a network alone the plain forest."""
        return NEEDED if set(self.models) == {NETWORK} else self.descriptors


def finetune(
    data: LabelledCrystals,
    split: Split,
    target: PropertyTarget,
    initial: InitialWeights,
    settings: FinetuneSettings,
    folder: Path,
    *,
    name: str,
    about: Mapping[str, Any] | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    progress: bool | None = None,
    task_of: Callable[..., Task] = regression_task,
) -> NetworkPredictor:
    """Trains a network, or goes on with the run in the folder, and measures what came out of it on
    the test rows.

    Args:
        data: Clean rows, values in the unit of the target.
        split: Which of them train, which choose the weights, which measure.
        target: What is predicted.
        initial: What to begin with.
        settings: How to train: heads, loss, epochs, batch size, learning rate and the others of
            `FinetuneSettings`, each with its default.
        folder: Of checkpoints and the log.
        name: Of the predictor.
        about: What else its card says of the data.
        minutes: Time budget of the training.
        device: Where to compute.
        progress: Whether to show a progress bar; None shows one on a terminal.
        task_of: What learns: `regression_task` all of the network, `module_task` a module and the
            heads.

    Raises:
        InputError: If the rows do not suffice, or the folder holds another run.
        KeyboardInterrupt: If a signal ended the training; the same call goes on with it.
    """
    train, validation = data.select(split.train), data.select(split.validation)
    config = _config(train, target, initial, settings)
    network = _network(config, initial, settings.seed)
    fabric = Fabric(accelerator=torch.device(device).type, devices=1)
    course = _train_settings(settings, len(train))
    patience = settings.patience * course.validate_every
    task = task_of(network, config, train, validation, course, fabric.device, patience)
    loop = Loop(task, folder, course, fabric)
    if not loop.finished:
        loop.run(minutes, progress)
        if loop.interrupted:
            raise KeyboardInterrupt
    stored = loop.best_weights()
    if settings.adapter is not None:
        heads = {n: t for n, t in stored.items() if not n.startswith(PREFIX)}
        stored = heads | adapter_tensors(stored)
    done = loop.progress
    training = {
        "rows": {"train": len(train), "validation": len(validation), "test": len(split.test)},
        "split": split.digests(data.names),
        "settings": asdict(settings),
        "steps": done.step,
        "hours": round(done.seconds / 3600, 3),
        "hardware": f"{device}, {platform.machine()}",
        "parameters": sum(p.numel() for p in network.parameters()),
        **(about or {}),
    }
    licence = "as the data it was trained on"
    card = Card(name, config, None, training, {}, tuple(config["elements"]), licence, "")
    return _measured(card, stored, data, split, device)


def _config(
    train: LabelledCrystals,
    target: PropertyTarget,
    initial: InitialWeights,
    settings: FinetuneSettings,
) -> dict[str, Any]:
    if settings.adapter is not None and initial.base is None:
        raise IncompatibleError(
            "Adapters stand beside a pretrained encoder; give the name of one, or train without "
            "adapters."
        )
    present = {int(z) for z in torch.unique(train.crystals.species)}
    elements = sorted(initial.elements if initial.tensors else present)
    return {
        "recipe": "property",
        "kind": Kind.PREDICTOR.value,
        "target": target.name,
        "unit": target.unit,
        "elements": elements,
        "backbone": dict(initial.backbone),
        "members": settings.members,
        "loss": settings.loss,
        "adapter": None if settings.adapter is None else {"rank": settings.adapter, "scale": 1.0},
        "base": None if initial.base is None else dict(initial.base),
        "scale": TargetScale.of(train.values, settings.transform).as_dict(),
    }


def _network(config: Config, initial: InitialWeights, seed: int) -> PropertyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            seed
        )  # layers draw their initial weights from the global stream
        backbone = make_backbone(config["backbone"])
        if initial.tensors:
            weight_files.fill(backbone, initial.tensors, Path("the encoder"))
        return build(config, backbone)


def _train_settings(settings: FinetuneSettings, rows: int) -> TrainSettings:
    epoch = -(-rows // settings.batch_size)  # steps
    steps = settings.epochs * epoch
    return TrainSettings(
        steps=steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup=min(5 * epoch, steps // 10),
        cooldown=0.5,
        weight_decay=settings.weight_decay,
        clip_norm=10.0,
        ema_decay=0.99,
        seed=settings.seed,
        validate_every=epoch,
        checkpoint_every=10 * epoch,
        log_every=epoch,
    )


def _measured(
    card: Card, tensors: Mapping[str, Tensor], data: LabelledCrystals, split: Split, device: str
) -> NetworkPredictor:
    """The predictor with a calibrated uncertainty, and errors with intervals on its card, beside
    those of who knows the median of the training rows and no crystal.
    """
    raw = NetworkPredictor(card, tensors, device)
    results: dict[str, Any] = {}
    config = dict(card.config)
    for part in ("validation", "test"):
        rows = data.select(getattr(split, part))
        if not len(rows):
            continue
        estimates = raw.estimates(rows.crystals)
        values = raw.scale.inverse(estimates.mean(-1))
        errors = (values - rows.values).abs()
        if part == "validation" and config["members"] > 1:
            config["uncertainty"] = calibration(errors, raw.std(estimates))
        middle = data.values[list(split.train)].median().expand_as(values)
        answers = {"MAE": values, "error of the median": middle}
        results |= rows_of_part(part, answers, rows.values, raw.unit)
        if config["members"] > 1:
            within = coverage(errors, config["uncertainty"] * raw.std(estimates))
            results[f"{part} within one standard deviation"] = within
    fields = {**card.__dict__, "config": config, "measured": {"results": results}}
    return NetworkPredictor(Card(**fields), tensors, device)
