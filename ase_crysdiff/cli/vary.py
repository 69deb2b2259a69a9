"""`crysdiff vary`: neighbours of a crystal, into a folder; given again after an interruption, it
goes on where it was.
"""

import argparse
import hashlib
from pathlib import Path

from ase_crysdiff.cli.drawing import (
    add_drawing_options,
    add_element_options,
    draw_and_select,
    guidance,
    refinement,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("file", type=Path, help="one crystal: CIF, POSCAR, json, extended XYZ")
    parser.add_argument(
        "--strength",
        type=float,
        default=0.3,
        help="above 0 (the crystal itself) to 1 (default 0.3)",
    )
    parser.add_argument(
        "--sampler", default="miad", help="name of a sampler, see: crysdiff list (default miad)"
    )
    parser.add_argument(
        "--keep-symmetry", action="store_true", help="keep the space group, found within 0.1 Å"
    )
    add_element_options(parser)
    add_drawing_options(parser, 8, "varied")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table."""
    from ase_crysdiff.data.readers import read_structure
    from pymatgen_ext.samplers import StructureSampler
    from pymatgen_ext.variation import prepare

    refine = refinement(options)
    conditions = guidance(options)
    structure = read_structure(options.file)
    content = hashlib.sha256(options.file.read_bytes()).hexdigest()
    sampler = StructureSampler(options.sampler, options.weights, options.device)
    names = ("chemical_system", "elements", "num_atoms", "steps")
    constraints = {name: getattr(options, name) for name in names}
    request, cell = prepare(
        sampler.check,
        structure,
        options.strength,
        keep_symmetry=options.keep_symmetry,
        conditions=conditions,
        **constraints,
    )
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version,
        "seed crystal": content,
        "strength": options.strength,
        **({"keep_symmetry": True} if options.keep_symmetry else {}),
        **constraints,
    }
    return draw_and_select(options, sampler, request, settings, refine, cell)
