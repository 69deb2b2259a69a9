"""`crysdiff predict`: a property of the crystals in files, as a table or written into them."""

import argparse
import json
import sys
from pathlib import Path

from ase_crysdiff.cli.fields import add_device, add_files


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("name", help="name of a predictor (crysdiff list), or the folder of one")
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
    from ase_crysdiff.campaigns.predicting import check_output, predict_files
    from pymatgen_ext.predictors import StructurePredictor

    check_output(options.output)  # before weights are read
    predictor = StructurePredictor(options.name, options.weights, options.device)
    found = predict_files(predictor, options.files, options.output, options.compare)
    for i, reason in found.reasons.items():
        print(f"no value: {found.names[i]}: {reason}", file=sys.stderr)
    count = len(found.names)
    if found.remarks:
        first = next(iter(found.remarks.values()))
        print(
            f"{len(found.remarks)} values have a remark beside them; the first: {first}",
            file=sys.stderr,
        )
    print(
        f"{count - len(found.reasons)} of {count} crystals: {predictor.target} in "
        f"{predictor.unit}, {options.output}"
    )
    if found.comparison is not None:
        print(json.dumps(found.comparison, indent=1))
    return 0 if len(found.reasons) < count else 1
