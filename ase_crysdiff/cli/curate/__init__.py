"""`crysdiff curate`: training sets for two stages, by rules, with a report; goes on where it was
stopped.

Stage I holds every crystal below a height above the hull, stable or not, and copies out of place on
request. Stage II holds the stable ones, and those a little above the hull as a potential relaxes
them.
"""

import argparse
import json
from pathlib import Path
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        help="CSV with a cif column, CIF, POSCAR, extended XYZ, .db, folders",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("curated"),
        help="folder for the results (default curated)",
    )
    parser.add_argument(
        "--against",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="benchmarks: nothing that matches a crystal of these files is kept",
    )
    parser.add_argument(
        "--hull",
        type=Path,
        help="CSV (reduced_formula, hull_energy_per_atom) for crystals without e_above_hull",
    )
    parser.add_argument(
        "--potential", default="dao-p", help="gives energies and relaxes: dao-p (default) or chgnet"
    )
    parser.add_argument(
        "--copies",
        default="",
        metavar="WAYS",
        help="unstable copies of every crystal, such as rattled,swapped",
    )
    parser.add_argument("--min-atoms", type=int, default=3, help="smallest cell (default 3)")
    parser.add_argument("--max-atoms", type=int, default=30, help="largest cell (default 30)")
    parser.add_argument(
        "--max-height",
        type=float,
        default=1.0,
        help="eV/atom above the hull must be below this (default 1)",
    )
    parser.add_argument(
        "--fmax",
        type=float,
        default=0.05,
        help="force that may remain after relaxing, eV/Å (default 0.05)",
    )
    parser.add_argument(
        "--relax-steps", type=int, default=200, help="steps at most for each crystal (default 200)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the copies (default 0)")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes for comparing (default 1)"
    )
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds for one comparison (default 30)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Reads, copies, compares, weighs, relaxes, writes; prints what was left out and why. 1 if
    nothing is left.
    """
    import torch

    from ase_crysdiff import __version__
    from ase_crysdiff.campaigns.curation.candidates import copies, read_benchmarks, read_candidates
    from ase_crysdiff.campaigns.curation.report import count, describe, save, summary
    from ase_crysdiff.campaigns.curation.stages import Curation
    from ase_crysdiff.crystal.convert import from_structures
    from ase_crysdiff.data.packed import PackedCrystals
    from ase_crysdiff.metrics.hull import Hull
    from ase_crysdiff.potentials.loading import load_potential
    from ase_crysdiff.storage import Store, write_text

    ways = _check(options)
    potential = load_potential(
        options.potential, device="cuda" if torch.cuda.is_available() else "cpu"
    )
    hull = None if options.hull is None else Hull.read(options.hull)
    benchmarks = read_benchmarks(options.against)
    found, unread = read_candidates(options.sources, options.min_atoms, options.max_atoms)
    made, unmade = copies(found, ways, options.seed, options.min_atoms, options.max_atoms)
    settings: dict[str, Any] = {
        "sources": [s.name for s in options.sources],
        "sha256": PackedCrystals(from_structures([c.structure for c in found])).digest,
        "benchmarks": {file: reference.digest for file, reference in benchmarks.items()},
        "copies_asked": ways,
        "hull": None if hull is None else hull.settings,
        "potential": potential.name,
        "rules": {
            n: getattr(options, n)
            for n in ("min_atoms", "max_atoms", "max_height", "fmax", "relax_steps", "seed")
        },
        "version": __version__,
    }
    folder = Store(options.output / "parts", settings)
    candidates = [*found, *made]
    curation = Curation(options, folder, candidates, benchmarks, potential, hull)
    first = curation.first()
    second = curation.second(first)
    report: dict[str, Any] = {
        **settings,
        "read": len(found) + len(unread),
        "copies": len(made),
        "unusable": count((loss.way, loss.reason) for loss in [*unread, *unmade]),
        "stage1": describe(first, candidates),
        "stage2": describe(second, candidates),
    }
    for name, stage in (("stage1", first), ("stage2", second)):
        if stage.structures:
            report[name]["sha256"] = save(
                options.output / f"{name}.safetensors",
                stage,
                candidates,
                ", ".join(settings["sources"]),
            )
    write_text(options.output / "report.json", json.dumps(report, indent=1) + "\n")
    print(summary(report))
    print(f"The files of the stages that have crystals and report.json are in {options.output}")
    return 0 if first.structures else 1


def _check(options: argparse.Namespace) -> list[str]:
    """The ways of the copies; refuses nonsense before anything is read."""
    from ase_crysdiff.arguments import positive
    from ase_crysdiff.campaigns.curation.candidates import check_ways
    from ase_crysdiff.campaigns.curation.stages import STABLE
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options
    from ase_crysdiff.storage import ensure_writable

    ways = [way for way in options.copies.split(",") if way]
    check_ways(ways)
    check_options(options.fmax, options.relax_steps, "lbfgs", MAX_ATOMS)
    for name, least in {"min_atoms": 1, "max_atoms": 1, "seed": 0, "workers": 1}.items():
        positive(name.replace("_", "-"), getattr(options, name), least)
    if options.min_atoms > options.max_atoms:
        raise InputError(
            f"min-atoms ({options.min_atoms}) must not be above max-atoms ({options.max_atoms})."
        )
    if not options.max_height > STABLE or not options.timeout > 0:
        raise InputError(f"max-height must be above {STABLE} eV/atom and timeout above 0 s.")
    if ways and options.hull is None:
        raise InputError(
            "Nobody knows how far copies lie above the hull. Give --hull, or leave --copies out."
        )
    ensure_writable(options.output)
    return ways
