"""`crysdiff sample`: draws into a folder; given again after an interruption, it goes on where it
was.
"""

import argparse
from typing import Any

from ase_crysdiff.cli.drawing import (
    add_drawing_options,
    add_element_options,
    draw_and_select,
    guidance,
    refinement,
)
from ase_crysdiff.errors import InputError

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
    lattice = None if options.lattice is None else _lattice(options.lattice)
    request, cell = sampler.request(**constraints, lattice=lattice, conditions=conditions)
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version,
        **constraints,
        "lattice": options.lattice,
    }
    return draw_and_select(options, sampler, request, settings, refine, cell)


def _lattice(parameters: list[float]) -> Any:
    """The cell of six numbers.

    Raises:
        InputError: If no cell has these lengths and angles.
    """
    import math

    from pymatgen.core import Lattice

    a, b, c, *angles = parameters
    cosines = [math.cos(math.radians(angle)) for angle in angles]
    # The squared volume of a cell with unit lengths.
    volume = 1 - sum(x * x for x in cosines) + 2 * math.prod(cosines)
    sound = all(math.isfinite(x) and x > 0 for x in parameters) and max(angles) < 180
    if not (sound and volume > 1e-6):
        given = " ".join(f"{x:g}" for x in parameters)
        raise InputError(
            f"No cell has the lengths (Å) and angles (degrees) {given}. Give six positive numbers "
            "whose angles close a cell: --lattice A B C ALPHA BETA GAMMA."
        )
    return Lattice.from_parameters(a, b, c, *angles)
