"""`crysdiff curate`: training sets for two stages, by rules, with a report; goes on where it was
stopped.
"""

import argparse

from ase_crysdiff.campaigns.curation.options import CurationOptions
from ase_crysdiff.cli.crew import add_crew, crew
from ase_crysdiff.cli.fields import add_fields, add_files, read_fields


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_files(parser, "sources")
    parser.add_argument(
        "--copies",
        default="",
        metavar="PERTURBATION,...",
        help="unstable copies of every crystal, such as rattled,substituted",
    )
    add_fields(parser, CurationOptions, skip=("copies", "workers"))
    count = CurationOptions.workers
    help = f"processes that compare and relax (default {count}); 0: the command's own"
    add_crew(parser, default=count, help=help)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Curates; prints what was left out and why. 1 if nothing is left."""
    from ase_crysdiff.campaigns.curation.curate import curate
    from ase_crysdiff.campaigns.curation.report import summary

    copies = tuple(word for word in options.copies.split(",") if word)
    with crew(options) as workers:
        rules = read_fields(options, CurationOptions, copies=copies, workers=0)
        result = curate(options.sources, rules, workers=workers)
    print(summary(result.report))
    print(f"The files of the stages that have crystals and report.json are in {options.output}")
    return 0 if result.first.structures else 1
