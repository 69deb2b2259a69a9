"""`crysdiff inpaint`: fills a host; given again after an interruption, it goes on where it was."""

import argparse
import hashlib
import re
from pathlib import Path

from ase_crysdiff.cli.drawing import (
    add_drawing_options,
    draw_and_select,
    guidance,
    refinement,
)
from ase_crysdiff.errors import InputError


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("host", type=Path, help="one crystal: CIF, POSCAR, json, extended XYZ")
    add(
        "-g",
        "--guest",
        action="append",
        metavar="EL=N",
        help="Li=3, or Li=0..6 to let the sampler decide; without it what --mask takes out, or "
        "what a disordered host has on its shared sites",
    )
    add("--supercell", type=int, nargs="+", metavar="N", help="repeat the host: 2, or 1 1 2")
    add("--sampler", default="chggen", help="a sampler, see: crysdiff list (default chggen)")
    add("--mask", help="elements to take out of the host first, such as Li-Na")
    add("--mask-sites", type=int, nargs="+", help="sites to take out first, counted from 0")
    add("--relax-cell", action="store_true", help="let go of the cell towards the end")
    add("--charge-balance", action="store_true", help="keep what balances by guessed charges")
    add(
        "--keep-symmetry",
        action="store_true",
        help="guests on Wyckoff positions of the host's space group, or of a subgroup",
    )
    add("--jump-length", type=int, default=10, help="levels of a resampling jump (default 10)")
    add(
        "--repeats",
        type=int,
        default=1,
        help="passes through each stretch of the plan (default 1, no jumps)",
    )
    add_drawing_options(parser, 8, "filled")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table."""
    from ase_crysdiff.data.readers import read_structure
    from pymatgen_ext.inpainting import prepare
    from pymatgen_ext.samplers import StructureSampler
    from pymatgen_ext.shared_sites import supercell_of

    refine = refinement(options, fixed_cell=not options.relax_cell)
    conditions = guidance(options)
    if options.mask is not None and options.mask_sites is not None:
        raise InputError("--mask and --mask-sites exclude each other. Give one of them.")
    host = read_structure(options.host)
    if options.supercell:
        host = supercell_of(host, _repeats(options.supercell))
    content = options.host.read_bytes()
    sampler = StructureSampler(options.sampler, options.weights, options.device)
    names = ("relax_cell", "charge_balance", "jump_length", "repeats", "steps")
    mask = options.mask if options.mask is not None else options.mask_sites
    constraints = {"mask": mask} | {name: getattr(options, name) for name in names}
    constraints |= {"keep_symmetry": True} if options.keep_symmetry else {}
    guests = parse_guests(options.guest) if options.guest else None
    task = prepare(sampler.check, host, guests, conditions=conditions, **constraints)
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version_for(task.request),
        "guests": guests,
        "host": hashlib.sha256(content).hexdigest(),
        **constraints,
        **({"supercell": _repeats(options.supercell)} if options.supercell else {}),
    }
    return draw_and_select(options, sampler, task.request, settings, refine, task.cell, task.notes)


def _repeats(numbers: list[int]) -> list[int]:
    """How often the cell is repeated along each axis.

    Raises:
        InputError: If there are neither one nor three numbers.
    """
    if len(numbers) not in (1, 3):
        raise InputError(f"--supercell takes one number or three, got {len(numbers)}.")
    return numbers * 3 if len(numbers) == 1 else numbers


def parse_guests(words: list[str]) -> dict[str, int | tuple[int, int]]:
    """`Li=3` and `Li=0..6` as `StructureSampler.inpaint` takes them.

    Raises:
        InputError: If a word is neither, or an element comes twice.
    """
    guests: dict[str, int | tuple[int, int]] = {}
    for word in words:
        parts = re.fullmatch(r"([A-Za-z]+)=(\d+)(?:\.\.(\d+))?", word.strip())
        if parts is None:
            raise InputError(f"A guest is written Li=3 or Li=0..6, got {word!r}.")
        symbol, least, most = parts.groups()
        if symbol in guests:
            raise InputError(f"The guest {symbol} is given twice.")
        guests[symbol] = int(least) if most is None else (int(least), int(most))
    return guests
