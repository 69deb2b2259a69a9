"""`crysdiff inpaint`: fills a host; given again after an interruption, it goes on where it was."""

import argparse
import hashlib
import re
import secrets
from dataclasses import replace
from pathlib import Path

from ase_crysdiff.cli.sample import add_common_options, check_common_options, conclude
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import MAX_SEED


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("host", type=Path, help="file that pymatgen reads: CIF, POSCAR, json")
    parser.add_argument(
        "-g",
        "--guest",
        action="append",
        required=True,
        metavar="EL=N",
        help="Li=3, or Li=0..6 to let the sampler decide",
    )
    parser.add_argument(
        "--sampler", default="chggen", help="name of a sampler, see: crysdiff list (default chggen)"
    )
    parser.add_argument(
        "-n", "--num-samples", type=int, default=8, help="crystals to draw (default 8)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("filled"),
        help="folder for the results (default filled)",
    )
    parser.add_argument("--mask", help="elements to take out of the host first, such as Li-Na")
    parser.add_argument(
        "--mask-sites",
        type=int,
        nargs="+",
        help="sites to take out of the host first, counted from 0",
    )
    parser.add_argument(
        "--relax-cell", action="store_true", help="let go of the cell towards the end"
    )
    parser.add_argument(
        "--charge-balance",
        action="store_true",
        help="keep only what balances by guessed oxidation states",
    )
    parser.add_argument(
        "--jump-length", type=int, default=10, help="levels of a resampling jump (default 10)"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        help="passes through each stretch of the plan (default 1, no jumps)",
    )
    add_common_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table."""
    from pymatgen.core import Structure

    from ase_crysdiff.sampling.folder import SampleFolder
    from pymatgen_ext.inpainting import prepare
    from pymatgen_ext.samplers import StructureSampler

    # Before the folder is touched: a refused command must not leave a run behind that the corrected
    # one then contradicts.
    refine = replace(check_common_options(options), fixed_cell=not options.relax_cell)
    if options.mask is not None and options.mask_sites is not None:
        raise InputError("--mask and --mask-sites exclude each other. Give one of them.")
    try:
        content = options.host.read_bytes()
        host = Structure.from_file(options.host)
    except Exception as error:  # readers raise all kinds of errors
        raise InputError(f"{options.host} cannot be read as a structure ({error}).") from error
    sampler = StructureSampler(options.sampler, options.weights, options.device)
    wishes = {
        "mask": options.mask if options.mask is not None else options.mask_sites,
        "relax_cell": options.relax_cell,
        "charge_balance": options.charge_balance,
        "jump_length": options.jump_length,
        "repeats": options.repeats,
        "steps": options.steps,
    }
    guests = parse_guests(options.guest)
    task = prepare(sampler.check, host, guests, **wishes)
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version_for(task.request),
        "guests": guests,
        "host": hashlib.sha256(content).hexdigest(),
        **wishes,
        "redraws": options.redraws,
    }
    folder = SampleFolder.open(
        options.output, settings, options.seed, lambda: secrets.randbelow(MAX_SEED)
    )
    missing = [i for i in range(options.num_samples) if i not in folder.done]
    if len(missing) < options.num_samples:
        print(f"{options.num_samples - len(missing)} crystals are already in {options.output}")
    samples = sampler.collect(
        task.request,
        missing,
        cell=task.cell,
        seed=folder.seed,
        redraws=options.redraws,
        batch_size=options.batch_size,
        workers=options.workers,
        on_draws=folder.on_draws,
    )
    return conclude(folder, options.num_samples, replace(samples.report, notes=task.notes), refine)


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
