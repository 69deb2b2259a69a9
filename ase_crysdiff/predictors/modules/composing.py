"""From a small table and a hub to a predictor: composition, then fine-tuning."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.property_tables import Row, TableReport, labelled, rows_of
from ase_crysdiff.data.splits import Split, by_shares, groups_of
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.predictors.base import Predictor, PropertyTarget
from ase_crysdiff.predictors.finetuning import FinetuneSettings, finetune
from ase_crysdiff.predictors.fitted_average import averaged
from ase_crysdiff.predictors.modules.beginning import with_module
from ase_crysdiff.predictors.modules.composition import (
    Composition,
    check_units,
    composition_of,
    merged,
)
from ase_crysdiff.predictors.modules.hub import SHIPPED, Hub, load_hub, trunk_of
from ase_crysdiff.training.described_crystals import module_task


@dataclass(frozen=True)
class Composed:
    """What composing gave.

    Args:
        predictor: Fine-tuned, with what it is worth on its card.
        composition: Which modules it began with.
        report: What became of every row.
        seconds: Of the composition alone, without the fine-tuning.
    """

    predictor: Predictor
    composition: Composition
    report: TableReport
    seconds: float


def settings_for(transform: str | None, seed: int) -> FinetuneSettings:
    """How the merged module and the heads are fine-tuned; tuned on the validation parts of the
    eleven published tasks.

    Args:
        transform: None, "log" or "log1p".
        seed: Of heads, resamples and order.
    """
    return FinetuneSettings(
        transform=transform, epochs=40, patience=40, weight_decay=1e-2, seed=seed
    )


def compose(
    data: LabelledCrystals,
    split: Split,
    target: PropertyTarget,
    hub: Hub,
    settings: FinetuneSettings,
    folder: Path,
    *,
    name: str,
    about: Mapping[str, Any] | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> tuple[Predictor, Composition, float]:
    """Composes the modules of a hub by the training rows and fine-tunes what comes of it. Where the
    validation rows err less so, it is averaged with a forest and a kernel regression; the latter
    reads the features of the composed module, too.

    Args:
        data: Clean rows, values in the unit of the target.
        split: Which of them train, which choose the weights, which measure.
        target: What is predicted.
        hub: Of the modules.
        settings: Of the fine-tuning.
        folder: Of checkpoints and the log.
        name: Of the predictor.
        about: What else its card says of the data.
        minutes: Time budget of the training.
        device: Where to compute.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Returns:
        The predictor, the composition, and its seconds.

    Raises:
        InputError: If the rows do not suffice, or the folder holds another run.
        IncompatibleError: If a module has learned the property in another unit, or the encoder is
            not that of the modules.
    """
    check_units(hub, target)
    started = time.monotonic()
    found = composition_of(hub, data.select(split.train), settings.transform, settings.seed)
    module = merged(hub, found.weights)
    initial = with_module(hub.base, hub.standard, module)
    seconds = time.monotonic() - started
    said = {
        "hub": hub.name,
        "composition": {n: round(weight, 4) for n, weight in found.weights.items()},
    }
    network = finetune(
        data,
        split,
        target,
        initial,
        settings,
        folder,
        name=name,
        about={**(about or {}), **said},
        minutes=minutes,
        device=device,
        progress=progress,
        task_of=module_task,
    )
    predictor = averaged(
        data,
        split,
        target,
        network,
        models=settings.models,
        transform=settings.transform,
        seed=settings.seed,
        name=name,
        about=network.card.training,
        elements=initial.elements,
        module={**module, **hub.standard},
        device=device,
    )
    return predictor, found, seconds


@own_state(one_thread=False)
def compose_rows(
    rows: Sequence[Row],
    target: PropertyTarget,
    *,
    hub: str | Path = SHIPPED,
    transform: str | None = None,
    seed: int = 0,
    split: str = "random",
    validation: float = 0.15,
    test: float = 0.15,
    name: str | None = None,
    folder: str | Path | None = None,
    about: Mapping[str, Any] | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> Composed:
    """Cleans the rows of a table, splits them and composes.

    Args:
        rows: Of a table, or made from structures and values.
        target: What is predicted.
        hub: Folder of a hub, or "shipped".
        transform: None, "log" or "log1p": what is learned of the values.
        seed: Of the split, heads, resamples and order.
        split: "random", "composition" (rows of a formula stay together) or "chemical-system".
        validation: Share of the rows that chooses the weights and calibrates the uncertainty.
        test: Share of the rows that measures the result.
        name: Of the predictor; by default the target.
        folder: Where the training keeps its state, so that the same call goes on after an
            interruption; by default nowhere.
        about: What else its card says of the data.
        minutes: Time budget of the training.
        device: Where to compute.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If the rows do not suffice, or values have no logarithm.
        IncompatibleError: If hub, encoder or unit do not fit each other.
        CheckpointError: If there is no such hub.
    """
    modules, settings = load_hub(hub), settings_for(transform, seed)
    check_units(modules, target)
    data, report = labelled(
        rows, transform=transform, elements=trunk_of(modules.base)[1], progress=progress
    )
    parts = by_shares(groups_of(data.crystals, split), validation, test, seed)
    table = {"table": {"read": report.read, "kept": report.kept}, "split_by": split}
    with tempfile.TemporaryDirectory() as temporary:
        predictor, composition, seconds = compose(
            data,
            parts,
            target,
            modules,
            settings,
            Path(folder or temporary),
            name=name or target.name.replace("_", "-"),
            about={**table, **(about or {})},
            minutes=minutes,
            device=device,
            progress=progress,
        )
    return Composed(predictor, composition, report, seconds)


def compose_structures(
    structures: Sequence[Any],
    values: Sequence[float | None] | NDArray[np.float64],
    target: PropertyTarget,
    *,
    names: Sequence[str] | None = None,
    **options: Any,
) -> Composed:
    """`compose_rows` for structures or ASE atoms and their values.

    Args:
        structures: One for each value.
        values: In the unit of the target; None and NaN are missing values.
        target: What is predicted.
        names: Of the rows, for reports; by default their positions.
        options: Of `compose_rows`.
    """
    return compose_rows(rows_of(structures, values, names), target, **options)
