"""`crysdiff sample`: draws into a folder; given again after an interruption, it goes on where it
was.
"""

import argparse

from ase_crysdiff.cli.drawing import (
    add_drawing_options,
    add_element_options,
    draw_and_select,
    guidance,
    refinement,
)

_CELL = ("A", "B", "C", "ALPHA", "BETA", "GAMMA")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("sampler", help="name of a sampler, see: crysdiff list")
    parser.add_argument("--composition", help="formula unit, for samplers that predict structures")
    parser.add_argument(
        "--formula-units", type=int, nargs="+", help="formula units per cell to choose from"
    )
    add_element_options(parser)
    parser.add_argument(
        "--lattice",
        type=float,
        nargs=6,
        metavar=_CELL,
        help="lengths (Å) and angles (degrees) of the cell, which is kept",
    )
    add_drawing_options(parser, 16, "crystals")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table."""
    from pymatgen_ext.samplers import StructureSampler

    refine = refinement(options, fixed_cell=options.lattice is not None)
    conditions = guidance(options)
    sampler = StructureSampler(options.sampler, options.weights, options.device)
    names = ("composition", "chemical_system", "elements", "num_atoms", "steps")
    constraints = {name: getattr(options, name) for name in names}
    constraints["formula_units"] = options.formula_units or "auto"
    request, cell = sampler.request(**constraints, lattice=options.lattice, conditions=conditions)
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version,
        **constraints,
        "lattice": options.lattice,
    }
    return draw_and_select(options, sampler, request, settings, refine, cell)
