"""`crysdiff evaluate`: relaxes and scores files into tables and a report; given again after an
interruption, it goes on.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ase_crysdiff.cli.crew import add_crew, crew
from ase_crysdiff.relaxation.settings import FMAX, STEPS


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        help="CIF, POSCAR, extended XYZ, ASE .db, CSV with a cif column, folders of those",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("evaluation"),
        help="folder for the results (default evaluation)",
    )
    parser.add_argument(
        "--reference",
        default="shipped",
        help="known crystals, packed or as files; shipped (default): fingerprints, partial; none: "
        "no novelty",
    )
    parser.add_argument(
        "--hull",
        default="shipped",
        help="CSV of reduced_formula, hull_energy_per_atom; shipped (default): the Materials "
        "Project; none: no energies above the hull",
    )
    parser.add_argument(
        "--potential",
        default="chgnet",
        help="chgnet (default), dao-p (four times faster), or none: nothing is relaxed",
    )
    parser.add_argument(
        "--profile",
        default="package",
        help="rule of S.U.N.: package (default), miad, flowmm, mattergen, lemat",
    )
    parser.add_argument(
        "--fmax",
        type=float,
        default=FMAX,
        help=f"largest force that may remain, eV/Å (default {FMAX})",
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"steps at most for each crystal (default {STEPS})"
    )
    parser.add_argument("--optimizer", default="lbfgs", help="lbfgs (default), fire or lbfgs-ase")
    add_crew(
        parser,
        default=1,
        help="processes that read, relax and compare (default 1); 0: in the command's own, where a "
        "crystal that hangs or crashes takes all along",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluates, then prints the funnel, the scores and where the files are; 1 if no crystal could
    be scored.
    """
    from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_files
    from ase_crysdiff.campaigns.evaluation.relaxing import Options
    from ase_crysdiff.report.labels import LABELS

    with crew(options) as workers:
        results = evaluate_files(
            options.files,
            options.output,
            reference=_unless_none(options.reference),
            hull=_unless_none(options.hull),
            potential=_unless_none(options.potential),
            options=Options(options.fmax, options.steps, True, options.optimizer),
            profile=options.profile,
            workers=workers,
        )
    for note in results["notes"]:
        print(note)
    for stage in results["funnel"]:
        print(f"  {stage['count']:6d}  {stage['stage']}: {stage['meaning']}")
    for name, result in results["metrics"].items():
        print(f"  {_shown(result, LABELS.get(name, ('', ''))[1]):>34}  {name}")
    for entry in results["lost"][:20]:
        print(f"lost: {entry['name']} ({entry['stage']}): {entry['reason']}", file=sys.stderr)
    if len(results["lost"]) > 20:
        print(f"lost: {len(results['lost']) - 20} more, see table.csv", file=sys.stderr)
    print(f"report.html, results.json and table.csv are in {options.output}")
    return 0 if results["funnel"][2]["count"] else 1


def _unless_none(given: str) -> str | None:
    return None if given == "none" else given


def _shown(result: dict[str, Any], unit: str) -> str:
    if result["value"] is None:
        return "-"
    low, high = (f"{x:.4g}" if x is not None else "-" for x in result["interval"])
    return f"{result['value']:.4g} [{low}, {high}] {'' if unit == '%' else unit}".rstrip()
