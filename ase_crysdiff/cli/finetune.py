"""`crysdiff finetune`: a table of a property and a pretrained encoder become a predictor with a
card.

Given again after an interruption, it goes on where it was; with the same options a finished run is
only measured again.
"""

import argparse
import csv
import hashlib
import io
import json
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from ase_crysdiff.campaigns.state import RunFolder
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.property_tables import labelled, read_rows
from ase_crysdiff.data.splits import by_shares, folds, groups_of
from ase_crysdiff.models.card import Card
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.cross_validation import HeldOut, held_out_of, held_out_predictions
from ase_crysdiff.predictors.finetuning import FinetuneSettings, finetune
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.predictors.loading import save
from ase_crysdiff.report.parity import parity_plot
from ase_crysdiff.storage import write_text

_TRAINING = "training"
#: Backbone of a model that learns from scratch.
_BACKBONE = '{"name": "pddformer"}'
_KNOBS = {
    "members": "heads whose spread is the uncertainty",
    "epochs": "passes over the rows, at most",
    "patience": "epochs without a better validation error",
    "batch_size": "crystals per step",
    "learning_rate": "peak of AdamW",
    "weight_decay": "of AdamW",
    "seed": "of splits, heads and order",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        help="table (.csv, .csv.gz) with a column cif or file, and the target",
    )
    add("--target", required=True, help="column of the property, such as band_gap")
    add("--unit", required=True, help="unit of the column, such as eV; 1 for a plain number")
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the predictor; its name is that of the predictor",
    )
    add(
        "--encoder",
        default="crysldnet",
        help="name or folder of an encoder or predictor, or none (default crysldnet)",
    )
    add(
        "--backbone",
        type=json.loads,
        default=json.loads(_BACKBONE),
        metavar="JSON",
        help=f"network of a model from scratch, with --encoder none (default {_BACKBONE})",
    )
    add(
        "--split",
        default="random",
        help="random (default), composition or chemical-system: what stays together",
    )
    add(
        "--validation",
        type=float,
        default=0.15,
        help="share that stops the training (default 0.15)",
    )
    add("--test", type=float, default=0.15, help="share that measures the result (default 0.15)")
    add(
        "--folds",
        type=int,
        help="measure by cross-validation instead; the predictor then learns from all rows",
    )
    add("--minutes", type=float, help="time budget of each training")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add(
        "--adapter",
        type=int,
        metavar="RANK",
        help="train low-rank adapters of this rank on a frozen encoder: small files",
    )
    add("--log", action="store_true", help="learn the decimal logarithm, as is usual for moduli")
    add("--loss", default="l1", help="l1 (default), huber or mse")
    defaults = FinetuneSettings()
    for knob, text in _KNOBS.items():
        default = getattr(defaults, knob)
        add(
            f"--{knob.replace('_', '-')}",
            type=type(default),
            default=default,
            help=f"{text} (default {default})",
        )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Reads the table, trains, measures, writes the predictor and prints what it is worth."""
    settings = FinetuneSettings(
        **{f.name: getattr(options, f.name) for f in fields(FinetuneSettings)}
    )
    target = PropertyTarget(options.target, options.unit)
    origin = (
        InitialWeights.scratch(options.backbone)
        if options.encoder == "none"
        else InitialWeights.of(options.encoder)
    )
    rows = read_rows(options.data, target.name, target.unit)
    data, report = labelled(rows, log=settings.log, elements=origin.elements)
    groups = groups_of(data.crystals, options.split)
    crossed = (
        []
        if options.folds is None
        else folds(groups, options.folds, options.validation, settings.seed)
    )
    final = by_shares(groups, options.validation, 0.0 if crossed else options.test, settings.seed)
    # After all that may be refused: a wrong request must not leave a run behind that the corrected
    # one then contradicts.
    RunFolder(options.output, _record(options, settings, origin))
    print(report.summary())
    for name, reason in report.left_out[:20]:
        print(f"    {name}: {reason}")
    table = {"read": report.read, "kept": report.kept}
    about = {
        "data": options.data.name,
        "table": table,
        "encoder": options.encoder,
        "split_by": options.split,
    }
    train = partial(
        finetune,
        data,
        target=target,
        initial=origin,
        settings=settings,
        name=options.output.name,
        about=about,
        minutes=options.minutes,
        device=options.device,
    )
    training = options.output / _TRAINING
    held_out = held_out_predictions(data, crossed, training, train) if crossed else None
    predictor = train(split=final, folder=training / "final")
    if held_out is None:
        held_out = held_out_of(data, [(final, predictor)])
    else:
        results = {
            f"{len(crossed)}-fold cross-validation {key}": value
            for key, value in held_out.results.items()
        }
        predictor.card = replace(
            predictor.card, measured={"results": {**predictor.card.measured["results"], **results}}
        )
    card = save(predictor, options.output)
    if held_out.rows:
        _write_held_out(options.output, data, held_out, target)
    _announce(options.output, card)
    return 0


def _write_held_out(
    folder: Path, data: LabelledCrystals, held_out: HeldOut, target: PropertyTarget
) -> None:
    """Rows that nothing was chosen by, with their predictions, as a table and a picture."""
    known, predicted, spread = (
        t.tolist() for t in (held_out.values, held_out.predictions, held_out.uncertainty)
    )
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "fold", f"{target.name} ({target.unit})", "predicted", "uncertainty"])
    table.writerows(
        zip(
            [data.names[i] for i in held_out.rows],
            held_out.folds,
            known,
            predicted,
            spread,
            strict=True,
        )
    )
    write_text(folder / "held-out.csv", text.getvalue())
    write_text(folder / "parity.svg", parity_plot(known, predicted, target.name, target.unit))


def _announce(folder: Path, card: Card) -> None:
    for name, result in card.measured["results"].items():
        interval = " [{:.4g}, {:.4g}]".format(*result["interval"]) if "interval" in result else ""
        print(f"{name}: {result['value']}{interval} {result.get('unit', '')}".rstrip())
    parameters = card.training["parameters"]
    print(
        f"{folder}: predictor with {parameters:,} parameters; crysdiff predict {folder} FILES -o "
        "table.csv"
    )


def _record(
    options: argparse.Namespace, settings: FinetuneSettings, origin: InitialWeights
) -> dict[str, Any]:
    """What a run depends on."""
    digest = hashlib.sha256(options.data.read_bytes()).hexdigest()[:16]
    choices = {
        name: getattr(options, name)
        for name in ("target", "unit", "split", "validation", "test", "folds")
    }
    return {
        "data": digest,
        **choices,
        **asdict(settings),
        "backbone": dict(origin.backbone),
        "base": origin.base,
    }
