"""From a table of a property and a pretrained encoder to a predictor with a card.

Called again after an interruption, it goes on where it was; with the same options a finished run is
only measured again.
"""

import csv
import hashlib
import io
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ase_crysdiff.data.formula_tables import read_formulas
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.property_tables import labelled, read_rows
from ase_crysdiff.data.splits import by_shares, folds, groups_of
from ase_crysdiff.errors import MissingExtraError
from ase_crysdiff.models.card import Card
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.cross_validation import (
    HeldOut,
    forest_held_out,
    held_out_of,
    held_out_predictions,
)
from ase_crysdiff.predictors.descriptors.describing import describe_once
from ase_crysdiff.predictors.finetuning import FinetuneSettings
from ase_crysdiff.predictors.fitting import PLAIN_ERROR
from ase_crysdiff.predictors.formulas import check_readers, learned_from, said_of
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.predictors.loading import save
from ase_crysdiff.predictors.teaching import teach
from ase_crysdiff.report.parity import parity_plot
from ase_crysdiff.storage import Store, write_text

log = logging.getLogger(__name__)

_TRAINING = "training"
_DESCRIPTORS = f"{_TRAINING}/descriptors.npz"
#: Rows left out that are named one by one.
_NAMED = 20
#: What a run depends on beside data, settings and initial weights.
_CHOICES = ("target", "unit", "split", "validation", "test", "folds")


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
    """Options of `finetune_table`.

    Args:
        data: table (.csv, .csv.gz) with a column cif or file, and the target
        target: column of the property, such as band_gap
        unit: unit of the column, such as eV; 1 for a plain number
        output: folder of the predictor; its name is that of the predictor
        formulas: table (.csv, .csv.gz) with a column formula and the target, of compounds whose
            structure is not known; none of a crystal of the other table is learned from
        encoder: name or folder of an encoder or predictor, or none
        backbone: network of a model from scratch, with the encoder none
        split: random, composition or chemical-system: what stays together
        validation: share that stops the training
        test: share that measures the result
        folds: measure by cross-validation instead; the predictor then learns from all rows
        minutes: time budget of each training
        device: cpu or cuda
    """

    data: Path
    target: str
    unit: str
    output: Path
    formulas: Path | None = None
    encoder: str = "crysldnet"
    backbone: Mapping[str, Any] = field(default_factory=lambda: {"name": "pddformer"})
    split: str = "random"
    validation: float = 0.15
    test: float = 0.15
    folds: int | None = None
    minutes: float | None = None
    device: str = "cpu"


def finetune_table(options: FinetuneOptions, settings: FinetuneSettings) -> Card:
    """Reads a table, trains, measures on rows held out, and writes the predictor.

    The folder receives the weights with their card, `held-out.csv` and `parity.svg` with the
    predictions of the rows held out, and the state of the trainings. What became of the rows of the
    table is reported to the log before the training begins.

    Args:
        options: Where from and where to, and what is held out.
        settings: Of the training.

    Returns:
        The card of the predictor, with what it is worth on rows that nothing was chosen by.

    Raises:
        InputError: If an option or the table cannot be used, or the folder holds a run with other
            settings.
        CheckpointError: If there is no such encoder.
    """
    target = PropertyTarget(options.target, options.unit)
    initial = (
        InitialWeights.scratch(options.backbone)
        if options.encoder == "none"
        else InitialWeights.of(options.encoder)
    )
    rows = read_rows(options.data, target.name, target.unit)
    data, report = labelled(rows, transform=settings.transform, elements=initial.elements)
    more = trees = None
    if options.formulas is not None:
        check_readers(settings.models)
        more = read_formulas(options.formulas, target.name, target.unit, settings.transform)
        trees = learned_from(more, data.crystals, settings.transform, settings.seed)
    groups = groups_of(data.crystals, options.split)
    crossed = (
        []
        if options.folds is None
        else folds(groups, options.folds, options.validation, settings.seed)
    )
    final = by_shares(groups, options.validation, 0.0 if crossed else options.test, settings.seed)
    # After all that may be refused: a wrong request must not leave a run behind that the corrected
    # one then contradicts.
    Store(options.output, _record(options, settings, initial))
    log.info("%s", report.summary())
    _tell(report.left_out)
    if more is not None:
        log.info("%d formulas used, %d left out", len(more), len(more.left_out))
        _tell(more.left_out)
    kept = options.output / _DESCRIPTORS
    train = partial(
        teach,
        data,
        target=target,
        initial=initial,
        settings=settings,
        name=options.output.name,
        about={
            "data": options.data.name,
            "table": {"read": report.read, "kept": report.kept},
            "encoder": options.encoder,
            "split_by": options.split,
            **({} if more is None else said_of(more)),
        },
        minutes=options.minutes,
        device=options.device,
        descriptors=kept,
        formulas=trees,
    )
    training = options.output / _TRAINING
    training.mkdir(exist_ok=True)
    described = describe_once(data.crystals, kept, settings.read)
    held_out = None
    if crossed:
        of_fold = partial(train, beside_plain=False)
        held_out = held_out_predictions(data, crossed, training, of_fold, described)
    predictor = train(split=final, folder=training / "final")
    if held_out is None:
        held_out = held_out_of(data, [(final, predictor)], described)
    else:
        of_folds = held_out.results
        with suppress(MissingExtraError):
            of_folds[PLAIN_ERROR] = forest_held_out(
                data, crossed, described, settings.transform, settings.seed, target.unit
            )
        results = {
            f"{len(crossed)}-fold cross-validation {key}": value for key, value in of_folds.items()
        }
        predictor.card = replace(
            predictor.card, measured={"results": {**predictor.card.measured["results"], **results}}
        )
    card = save(predictor, options.output)
    if held_out.rows:
        _write_held_out(options.output, data, held_out, target)
    return card


def _tell(left_out: Sequence[tuple[str, str]]) -> None:
    """The first of what was left out, each with its reason."""
    for name, reason in left_out[:_NAMED]:
        log.info("    %s: %s", name, reason)


def _write_held_out(
    folder: Path, data: LabelledCrystals, held_out: HeldOut, target: PropertyTarget
) -> None:
    """Rows that nothing was chosen by, with their predictions, as a table and a picture."""
    known, predicted, spread = (
        t.tolist() for t in (held_out.values, held_out.predictions, held_out.uncertainty)
    )
    names = [data.names[i] for i in held_out.rows]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "fold", f"{target.name} ({target.unit})", "predicted", "uncertainty"])
    table.writerows(zip(names, held_out.folds, known, predicted, spread, strict=True))
    write_text(folder / "held-out.csv", text.getvalue())
    write_text(folder / "parity.svg", parity_plot(known, predicted, target.name, target.unit))


def _record(
    options: FinetuneOptions, settings: FinetuneSettings, initial: InitialWeights
) -> dict[str, Any]:
    """What a run depends on."""
    more = {} if options.formulas is None else {"formulas": _digest(options.formulas)}
    return {
        "data": _digest(options.data),
        **more,
        **{name: getattr(options, name) for name in _CHOICES},
        **asdict(settings),
        "backbone": dict(initial.backbone),
        "base": initial.base,
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
