"""`crysdiff finetune`: a table of a property and a pretrained encoder become a predictor with a
card.

Given again after an interruption, it goes on where it was; with the same options a finished run is
only measured again.
"""

import argparse
import json

from ase_crysdiff.campaigns.finetuning import FinetuneOptions, finetune_table
from ase_crysdiff.cli.fields import add_fields, read_fields
from ase_crysdiff.predictors.finetuning import FinetuneSettings

_BACKBONE = '{"name": "pddformer"}'


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_fields(parser, FinetuneOptions, skip=("backbone",), positional=False)
    parser.add_argument(
        "--backbone",
        type=json.loads,
        default=json.loads(_BACKBONE),
        metavar="JSON",
        help=f"network of a model from scratch, with --encoder none (default {_BACKBONE})",
    )
    add_fields(parser, FinetuneSettings)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Makes the predictor, then prints what it is worth."""
    settings = read_fields(options, FinetuneSettings)
    card = finetune_table(read_fields(options, FinetuneOptions), settings)
    for name, result in card.measured["results"].items():
        interval = " [{:.4g}, {:.4g}]".format(*result["interval"]) if "interval" in result else ""
        print(f"{name}: {result['value']}{interval} {result.get('unit', '')}".rstrip())
    folder, parameters = options.output, card.training["parameters"]
    print(
        f"{folder}: predictor with {parameters:,} parameters; crysdiff predict {folder} FILES -o "
        "table.csv"
    )
    return 0
