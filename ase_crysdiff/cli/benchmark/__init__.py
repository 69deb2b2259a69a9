"""`crysdiff benchmark`: the numbers of a card, with everything they depend on in one JSON file."""

import argparse

from ase_crysdiff.cli.benchmark import csp, denovo, potential


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the kinds of benchmark with their options."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    denovo.configure(
        kinds.add_parser(
            "denovo", help="validity, uniqueness, novelty and distributions of free draws", description=denovo.__doc__
        )
    )
    csp.configure(
        kinds.add_parser("csp", help="match rate and RMSE of structures predicted for compositions", description=csp.__doc__)
    )
    potential.configure(
        kinds.add_parser("potential", help="energies, forces and relaxations of a potential", description=potential.__doc__)
    )
