"""`crysdiff merge`: joins the folders of a job array to the folder that one run would have left."""

import argparse
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        help="of one run: the same options and --seed, other --first; or other --part of the same "
        "files",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("merged"), help="folder (default merged)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Merges, then says what there is and what is missing; 1 if something is."""
    from ase_crysdiff.campaigns.merging import merge

    merged = merge(options.folders, options.output)
    for gap in merged.gaps():
        print(f"missing: {gap}", file=sys.stderr)
    print(merged)
    return 1 if merged.missing or not merged.structures else 0
