"""`crysdiff label`: energies, forces and stresses of crystals and of moved copies, for training
potentials.
"""

import argparse
from pathlib import Path

from ase_crysdiff.cli.crew import add_crew, crew

_DEFAULT = "unperturbed,rattled,rattled,strained,volume,supercell,compressed_pair"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        type=Path,
        help="CSV with a cif column, CIF, POSCAR, extended XYZ, .db, folders",
    )
    add("-o", "--output", type=Path, required=True, help="archive to write, such as labels.npz")
    add("--potential", default="chgnet", help="name of a potential (default chgnet)")
    add(
        "--calculator",
        metavar="MODULE:NAME",
        help="any ASE calculator instead, such as ase.calculators.emt:EMT",
    )
    add(
        "--perturbations",
        "--ways",
        default=_DEFAULT,
        help=f"copies of a crystal (default {_DEFAULT}); also substituted, partially_noised",
    )
    add("--max-atoms", type=int, default=40, help="skip larger cells (default 40)")
    add(
        "--max-force",
        type=float,
        default=60.0,
        help="refuse labels with larger forces, eV/Å (default 60)",
    )
    add("--seed", type=int, default=0, help="of the copies (default 0)")
    add_crew(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Labels what is missing and prints what was refused and why."""
    from ase_crysdiff.campaigns.labelling import label
    from ase_crysdiff.campaigns.labels import Oracle

    with crew(options) as workers:
        report = label(
            options.sources,
            options.output,
            oracle=Oracle(options.potential, options.calculator),
            perturbations=options.perturbations.split(","),
            max_atoms=options.max_atoms,
            max_force=options.max_force,
            workers=workers,
            seed=options.seed,
        )
    if report.found:
        print(f"{report.found} of {report.pieces} pieces are already there")
    if report.labels:
        advice = f"crysdiff pack {options.output} -o labels.safetensors"
        print(f"{options.output}: {report.labels} labels; pack them with: {advice}")
    for reason, count in report.reasons:
        print(f"  {count} refused: {reason}")
    return 0 if report.labels else 1
