"""`crysdiff sample`: draws into a folder; given again after an interruption, it goes on where it
was.
"""

import argparse
from pathlib import Path
from typing import Any

from ase_crysdiff import registry
from ase_crysdiff.cli.drawing import (
    add_drawing_options,
    add_element_options,
    draw_and_select,
    guidance,
    refinement,
)
from ase_crysdiff.cli.sample_molecules import sample_molecules
from ase_crysdiff.errors import InputError

#: Files of molecules; a framework comes in another.
_MOLECULES = (".xyz", ".mol", ".sdf", ".gjf", ".pdb")
_CELL = ("A", "B", "C", "ALPHA", "BETA", "GAMMA")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "sampler",
        nargs="?",
        default=registry.DEFAULT,
        help="name of a sampler, see: crysdiff list; by default the one that has done best at what "
        "is asked for",
    )
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
    parser.add_argument("--space-group", help="number or short symbol, such as Fm-3m")
    parser.add_argument(
        "--prototype",
        help='occupied sites, such as "Fm-3m a|b|c" or "P4_2/mnm: Ti a, O f", or a structure file',
    )
    parser.add_argument(
        "--known",
        action=argparse.BooleanOptionalAction,
        help="whether crystals of the sampler's library may be answers; by default known "
        "structures of a composition may, new crystals of known formulas may not",
    )
    parser.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="NAME=WISH",
        help="a wished property: a number (energy_above_hull=0), a window (band_gap=1.5:2.5), a "
        "name (crystal_system=cubic) or elements (chemical_system=Li-O); for samplers that are not "
        "conditioned on it a predictor chooses among candidates; may be given several times",
    )
    parser.add_argument(
        "--guidance-weight",
        type=float,
        default=1.0,
        help="with --property: how much it counts; 0 ignores it, above 1 overstates it (default 1)",
    )
    parser.add_argument(
        "--charge-balance",
        action="store_true",
        help="draw again what balances by no known oxidation states",
    )
    parser.add_argument(
        "--building-blocks",
        nargs="+",
        metavar="[N*]FILE",
        help="for samplers that assemble frameworks: one framework whose own blocks are taken, or "
        "files of molecules, each as often as the cell holds it, such as 2*node.xyz 6*linker.xyz",
    )
    add_drawing_options(parser, 16, "crystals")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table."""
    from ase_crysdiff.predictors.guides import said_of_guides
    from pymatgen_ext.parsing import isotope_note
    from pymatgen_ext.samplers import StructureSampler

    if options.sampler in registry.names(registry.MOLECULE_SAMPLERS):
        return sample_molecules(options, _properties(options), guidance(options))
    refine = refinement(options, fixed_cell=options.lattice is not None)
    conditions = guidance(options)
    sampler = StructureSampler(options.sampler, options.weights, options.device)
    names = ("composition", "chemical_system", "elements", "num_atoms", "steps")
    constraints = {name: getattr(options, name) for name in names}
    constraints["formula_units"] = options.formula_units or "auto"
    symmetry, properties = _symmetry(options), _properties(options)
    blocks = None if options.building_blocks is None else _blocks(options.building_blocks)
    request, cell = sampler.request(
        **constraints,
        **symmetry,
        known=options.known,
        properties=properties,
        guidance_weight=options.guidance_weight,
        charge_balance=options.charge_balance,
        building_blocks=blocks,
        lattice=options.lattice,
        conditions=conditions,
    )
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version,
        **constraints,
        **{name: str(wish) for name, wish in symmetry.items()},
        "lattice": options.lattice,
    }
    if options.known is not None:
        settings["known"] = options.known
    if options.charge_balance:
        settings["charge_balance"] = True
    if blocks is not None:
        settings["building_blocks"] = options.building_blocks
    if properties:
        settings |= {"properties": properties, "guidance_weight": options.guidance_weight}
    notes = isotope_note(options.composition, options.chemical_system, options.elements)
    notes += said_of_guides(request, sampler.sampler)
    return draw_and_select(options, sampler, request, settings, refine, cell, notes)


def _blocks(texts: list[str]) -> Any:
    """A framework, or molecules as often as they are wanted.

    Raises:
        InputError: If a file cannot be read, or a number makes no sense.
    """
    from ase_crysdiff.arguments import positive
    from ase_crysdiff.data.readers import read_structure
    from pymatgen_ext.blocks import read_molecule

    if len(texts) == 1 and "*" not in texts[0] and Path(texts[0]).suffix.lower() not in _MOLECULES:
        return read_structure(Path(texts[0]))
    found = []
    for text in texts:
        before, star, path = text.partition("*")
        if star and not before.strip().isdigit():
            raise InputError(
                f"--building-blocks takes files, or N*FILE such as 6*x.xyz; got {text!r}."
            )
        count = positive("The number of a building block", int(before)) if star else 1
        found += [read_molecule(Path(path if star else text))] * count
    return found


def _properties(options: argparse.Namespace) -> dict[str, Any]:
    """The wished properties.

    Raises:
        InputError: If one of them cannot be read.
    """
    found: dict[str, Any] = {}
    for text in options.property:
        name, given, value = text.partition("=")
        if not (name.strip() and given and value.strip()):
            raise InputError(
                "--property takes a name and a wish, such as energy_above_hull=0 or "
                f"band_gap=1.5:2.5; got {text!r}."
            )
        found[name.strip()] = _wish(value.strip())
    return found


def _wish(text: str) -> Any:
    """A number, a window of two, or the text itself."""
    parts = text.split(":")
    try:
        numbers = tuple(map(float, parts))
    except ValueError:
        return text
    return numbers[0] if len(numbers) == 1 else numbers


def _symmetry(options: argparse.Namespace) -> dict[str, Any]:
    """Space group and prototype, as far as they are given; a prototype may be that of a file.

    Raises:
        InputError: If one of them cannot be read.
    """
    from ase_crysdiff.data.readers import read_structure
    from pymatgen_ext import parsing

    found: dict[str, Any] = {}
    if options.space_group is not None:
        found["space_group"] = parsing.space_group(options.space_group)
    if options.prototype is not None:
        path = Path(options.prototype)
        given = read_structure(path) if path.is_file() else options.prototype
        found["prototype"] = parsing.prototype(given)
    return found
