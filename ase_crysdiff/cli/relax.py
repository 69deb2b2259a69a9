"""`crysdiff relax`: relaxes files into a folder; given again after an interruption, it goes on
where it was.
"""

import argparse
import sys

from ase_crysdiff.campaigns.relaxing import RelaxOptions, relax_files
from ase_crysdiff.cli.crew import add_crew, crew
from ase_crysdiff.cli.fields import add_fields, add_files, read_fields


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_files(parser)
    add_fields(parser, RelaxOptions)
    add_crew(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Relaxes, then prints a table; 1 if nothing could be relaxed."""
    with crew(options) as workers:
        found = relax_files(options.files, read_fields(options, RelaxOptions), workers=workers)
    done = len(found.structures)
    if done:
        print(found.table())
    for reason in found.failed.values():
        print(f"failed: {reason}", file=sys.stderr)
    print(found)
    if done:
        print(f"{done} CIF files, crystals.extxyz and table.csv are in {found.output}")
    return 0 if done else 1
