"""`crysdiff predict`: a property of the crystals in files, as a table or written into them."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ase_crysdiff.cli.fields import add_device, add_files

if TYPE_CHECKING:
    from ase_crysdiff.campaigns.predicting import PredictedFiles


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "name",
        help="name of a predictor (crysdiff list), or the folder of one; several with commas "
        "between them",
    )
    add_files(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="table.csv; or .extxyz, .json, .db with the crystals",
    )
    parser.add_argument(
        "--compare",
        metavar="COLUMN",
        help="column of the input tables with known values: prints the error, too",
    )
    add_device(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predicts, writes and prints a summary; 1 if no crystal could be used."""
    from ase_crysdiff.campaigns.predicting import check_output, predict_files, predict_properties
    from ase_crysdiff.errors import InputError
    from pymatgen_ext.predictors import StructurePredictor, available_predictors

    check_output(options.output)  # before weights are read
    names = [options.name] if Path(options.name).exists() else options.name.split(",")
    meant = [str(f) for f in options.files if not f.exists() and str(f) in available_predictors()]
    if meant:
        raise InputError(
            f"{', '.join(meant)} is a property and no file. Several properties are asked for with "
            f"commas: crysdiff predict {','.join([*names, *meant])} FILES"
        )
    if len(names) > 1 and (options.weights or options.compare):
        raise InputError("--weights and --compare are of one property; several were asked for.")
    predictors = [StructurePredictor(name, options.weights, options.device) for name in names]
    if len(predictors) == 1:
        found = [predict_files(predictors[0], options.files, options.output, options.compare)]
    else:
        found = predict_properties(predictors, options.files, options.output)
    count = len(found[0].names)
    for predictor, one in zip(predictors, found, strict=True):
        _print_losses(one)
        print(
            f"{count - len(one.reasons)} of {count} crystals: {predictor.target} in "
            f"{predictor.unit}, {options.output}"
        )
    if found[0].comparison is not None:
        print(json.dumps(found[0].comparison, indent=1))
    return 0 if any(len(one.reasons) < count for one in found) else 1


def _print_losses(found: "PredictedFiles") -> None:
    """Says what has no value, and whether values need a remark."""
    for i, reason in found.reasons.items():
        print(f"no value: {found.names[i]}: {reason}", file=sys.stderr)
    if found.remarks:
        first = next(iter(found.remarks.values()))
        print(
            f"{len(found.remarks)} values have a remark beside them; the first: {first}",
            file=sys.stderr,
        )
