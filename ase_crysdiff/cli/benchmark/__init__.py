"""`crysdiff benchmark`: the numbers of a card, with everything they depend on in one JSON file."""

import argparse

from ase_crysdiff.campaigns.benchmark import (
    csp,
    denovo,
    guidance,
    inpaint,
    noisy_energy,
    panel,
    polymorphs,
    potential,
    reconstruction,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the kinds of benchmark with their options."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    denovo.configure(
        kinds.add_parser(
            "denovo",
            help="validity, uniqueness, novelty and distributions of free draws",
            description=denovo.__doc__,
        )
    )
    csp.configure(
        kinds.add_parser(
            "csp",
            help="match rate and RMSE of structures predicted for compositions",
            description=csp.__doc__,
        )
    )
    polymorphs.configure(
        kinds.add_parser(
            "polymorphs",
            help="known forms of a composition that are found",
            description=polymorphs.__doc__,
        )
    )
    panel.configure(
        kinds.add_parser(
            "panel", help="textbook crystals that are found", description=panel.__doc__
        )
    )
    guidance.configure(
        kinds.add_parser(
            "guidance",
            help="energies with and without energy guidance",
            description=guidance.__doc__,
        )
    )
    inpaint.configure(
        kinds.add_parser(
            "inpaint",
            help="crystals rebuilt after one element is taken out",
            description=inpaint.__doc__,
        )
    )
    potential.configure(
        kinds.add_parser(
            "potential",
            help="energies, forces and relaxations of a potential",
            description=potential.__doc__,
        )
    )
    noisy_energy.configure(
        kinds.add_parser(
            "noisy-energy",
            help="energies of noisy states against labels",
            description=noisy_energy.__doc__,
        )
    )
    reconstruction.configure(
        kinds.add_parser(
            "reconstruction",
            help="elements, distances and cells told from latents",
            description=reconstruction.__doc__,
        )
    )
