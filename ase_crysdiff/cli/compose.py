"""`crysdiff compose`: a hub of modules and a small table become a predictor with a card.

Given again after an interruption, it goes on where it was.
"""

import argparse
from pathlib import Path

from ase_crysdiff.campaigns.composing import ComposeOptions, compose_table
from ase_crysdiff.cli.fields import add_fields, read_fields


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("table", type=Path, help=".csv or .csv.gz with a column cif or file")
    add_fields(parser, ComposeOptions, positional=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Composes, then prints which modules were taken and what the predictor is worth."""
    composed = compose_table(options.table, read_fields(options, ComposeOptions))
    found = composed.composition
    print(
        f"composed in {composed.seconds:.1f} s from {len(found.errors)} modules, by {found.rows} "
        f"crystals: neighbours err by {found.error:.3g}, with the best module "
        f"({found.best}) by {found.errors[found.best]:.3g}, the mean by {found.constant:.3g} "
        "(root mean square, on the scale that is learned)"
    )
    for name, weight in found.weights.items():
        print(f"  {weight:5.1%}  {name}")
    for name, result in composed.predictor.card.measured["results"].items():
        interval = " [{:.4g}, {:.4g}]".format(*result["interval"]) if "interval" in result else ""
        print(f"{name}: {result['value']}{interval} {result.get('unit', '')}".rstrip())
    print(f"{options.output}: crysdiff predict {options.output} FILES -o table.csv")
    return 0
