"""`crysdiff discover`: from a wish to ranked candidates with a report; given again after an
interruption, or for more draws, it goes on.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ase_crysdiff.cli.crew import add_crew, crew
from ase_crysdiff.errors import InputError


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "wish",
        nargs="?",
        help="a formula (CaTiO3) or a chemical system (Li-Fe-P-O: each of these, no others)",
    )
    parser.add_argument("--elements", help="instead: only these may occur, such as Li-Mn-O-F")
    parser.add_argument("--space-group", help="number or short symbol, such as Fm-3m")
    parser.add_argument(
        "--prototype",
        help='occupied sites, such as "Fm-3m a|b|c" or "P4_2/mnm: Ti a, O f", or a structure file',
    )
    parser.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="window of a predicted property, such as band-gap=1:2.5 or bulk-modulus=200: (see: "
        "crysdiff list); may be given several times",
    )
    parser.add_argument(
        "-n", "--target", type=int, default=20, help="candidates that are wanted (default 20)"
    )
    parser.add_argument(
        "--draws",
        type=int,
        help="crystals that are drawn, in rounds of 64; by default 12 for each candidate, then up "
        "to 60 until there are enough",
    )
    parser.add_argument("--minutes", type=float, help="no further round begins after so many")
    parser.add_argument(
        "--sampler",
        action="append",
        metavar="NAME",
        help="who draws; may be given several times (default wyckoff and prototypes)",
    )
    parser.add_argument("--potential", default="dao-p", help="relaxes and ranks (default dao-p)")
    parser.add_argument(
        "--judge", help="a second potential whose heights above the hull rank, such as chgnet"
    )
    parser.add_argument(
        "--max-above-hull",
        type=float,
        help="eV/atom that candidates may lie above the hull (default 0.1; 0.3 with --pattern)",
    )
    parser.add_argument(
        "--known",
        action=argparse.BooleanOptionalAction,
        help="whether known crystals are candidates (default no; yes with --pattern)",
    )
    parser.add_argument(
        "--pattern", help="a measured powder pattern of the formula (.xy, .xye, .csv) that ranks"
    )
    parser.add_argument(
        "--wavelength", default="1.5406", help="of the pattern, Å, or a line such as CuKa"
    )
    parser.add_argument(
        "--hull",
        default="shipped",
        help="CSV of reduced_formula, hull_energy_per_atom; shipped (default): the Materials "
        "Project",
    )
    parser.add_argument(
        "--reference",
        default="shipped",
        help="known crystals, packed or as files; shipped (default): fingerprints, partial; none: "
        "all are taken for new",
    )
    parser.add_argument(
        "--no-dynamics", action="store_true", help="vibrations of candidates are not checked"
    )
    parser.add_argument(
        "--seed", type=int, help="of the draws; by default a new one, or the folder's"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("discovery"),
        help="folder for the results (default discovery)",
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    add_crew(
        parser,
        default=cores or 1,
        help="processes that draw and relax (default: the cores of this machine); 0: in the "
        "command's own",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Discovers, then prints the candidates, the funnel and where the files are; 1 if there is no
    candidate.
    """
    from pymatgen_ext.discovery import SAMPLERS, discover

    with crew(options) as workers:
        found = discover(
            options.wish,
            options.target,
            elements=options.elements,
            space_group=options.space_group,
            prototype=_prototype(options.prototype),
            properties=dict(map(_window, options.property)),
            samplers=options.sampler or SAMPLERS,
            draws="auto" if options.draws is None else options.draws,
            minutes=options.minutes,
            potential=options.potential,
            judge=options.judge,
            max_above_hull=options.max_above_hull,
            new_only=None if options.known is None else not options.known,
            pattern=options.pattern,
            wavelength=_number(options.wavelength),
            hull=options.hull,
            reference=None if options.reference == "none" else options.reference,
            dynamics=not options.no_dynamics,
            folder=options.output,
            workers=workers,
            seed=options.seed,
        )
    if found:
        print(found.table())
    for note in found.notes:
        print(note)
    for stage, count, meaning in found.funnel:
        print(f"  {count:6,d}  {stage}: {meaning}")
    for reason, count in (found.tally.failed + found.tally.lost).most_common(5):
        print(f"lost: {count} × {reason}", file=sys.stderr)
    print(f"{found} ({found.seconds / 60:.1f} minutes)")
    return 0 if found else 1


def _window(text: str) -> tuple[str, tuple[float | None, float | None]]:
    """A property and its window.

    Raises:
        InputError: If it cannot be read.
    """
    name, _, window = text.partition("=")
    low, colon, high = window.partition(":")
    try:
        ends = tuple(float(end) if end.strip() else None for end in (low, high))
    except ValueError:
        ends = ()
    if len(ends) != 2 or not colon or not name:
        raise InputError(
            f"--property takes a name and a window, such as band-gap=1:2.5 or bulk-modulus=200: "
            f"for an open end; got {text!r}."
        )
    return name.strip(), (ends[0], ends[1])


def _number(text: str) -> float | str:
    """A wavelength in Å, or the name of a line."""
    try:
        return float(text)
    except ValueError:
        return text


def _prototype(text: str | None) -> Any:
    """A prototype as text, or the structure in a file of that name."""
    from ase_crysdiff.data.readers import read_structure

    return read_structure(Path(text)) if text and Path(text).is_file() else text
