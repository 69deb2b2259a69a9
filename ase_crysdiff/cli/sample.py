"""`crysdiff sample`: draws into a folder; given again after an interruption, it goes on where it
was.
"""

import argparse
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import MAX_SEED

if TYPE_CHECKING:
    from ase_crysdiff.sampling.folder import SampleFolder
    from ase_crysdiff.sampling.sample_set import Report, SampleSet
    from pymatgen_ext.selection import Refinement

#: Files with what `--potential`, `--distinct` and `--symprec` leave.
SELECTED = ("selected.extxyz", "selected.csv")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("sampler", help="name of a sampler, see: crysdiff list")
    parser.add_argument(
        "-n", "--num-samples", type=int, default=16, help="crystals to draw (default 16)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("crystals"),
        help="folder for the results (default crystals)",
    )
    parser.add_argument("--composition", help="formula unit, for samplers that predict structures")
    parser.add_argument(
        "--formula-units", type=int, nargs="+", help="formula units per cell to choose from"
    )
    parser.add_argument("--chemical-system", help="exactly these elements, such as Li-Mn-O")
    parser.add_argument("--elements", help="only these elements may occur, such as Li-Mn-O-F")
    parser.add_argument("--num-atoms", type=int, help="atoms per cell")
    add_common_options(parser)
    parser.set_defaults(run=run)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that draws crystals and selects among them."""
    parser.add_argument("--potential", help="rank by energy per atom: dao-p or chgnet")
    parser.add_argument(
        "--distinct", action="store_true", help="keep only the best of crystals that are the same"
    )
    parser.add_argument(
        "--symprec", type=float, help="symmetrise within this tolerance, Å; 0.1 is usual"
    )
    add_drawing_options(parser)


def add_drawing_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that draws crystals."""
    parser.add_argument("--steps", type=int, help="steps of the reverse process")
    parser.add_argument("--seed", type=int, help="0 to 2^63 - 1; drawn and recorded if not given")
    parser.add_argument(
        "--redraws", type=int, default=3, help="further attempts after an unusable draw (default 3)"
    )
    parser.add_argument("--batch-size", type=int, help="crystals computed together")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--weights", help="folder with other weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")


def run(options: argparse.Namespace) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table."""
    from ase_crysdiff.sampling.folder import SampleFolder
    from pymatgen_ext.samplers import StructureSampler

    # Before the folder is touched: a refused command must not leave a run behind that the corrected
    # one then contradicts.
    refine = check_common_options(options)
    sampler = StructureSampler(options.sampler, options.weights, options.device)
    wishes = {
        "composition": options.composition,
        "chemical_system": options.chemical_system,
        "elements": options.elements,
        "num_atoms": options.num_atoms,
        "steps": options.steps,
        "formula_units": options.formula_units or "auto",
    }
    request, _ = sampler.request(**wishes)
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version,
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
        request,
        missing,
        seed=folder.seed,
        redraws=options.redraws,
        batch_size=options.batch_size,
        workers=options.workers,
        on_draws=folder.on_draws,
    )
    return conclude(folder, options.num_samples, samples.report, refine)


def check_common_options(options: argparse.Namespace) -> "Refinement":
    """What is to be done with the finished set.

    Raises:
        InputError: If a common option makes no sense.
        UnknownNameError: If there is no potential of that name.
    """
    from ase_crysdiff.arguments import positive
    from pymatgen_ext.selection import Refinement

    least = {"num_samples": 1, "workers": 1, "redraws": 0, "seed": 0, "batch_size": 1}
    for name, smallest in least.items():
        if getattr(options, name) is not None:
            positive(name.replace("_", "-"), getattr(options, name), smallest)
    if options.seed is not None and options.seed > MAX_SEED:
        raise InputError(f"seed must be at most 2^63 - 1, got {options.seed}.")
    return Refinement.of(options.potential, options.distinct, options.symprec)


def conclude(
    folder: "SampleFolder", num_samples: int, report: "Report", refine: "Refinement"
) -> int:
    """Writes the common files of a finished run and what is selected from it; prints a table. 1 if
    there are no crystals.

    The selection is made anew from the finished set, so it may change from one call to the next
    while the draws stay.
    """
    from ase_crysdiff.data.table import format_table

    everything = folder.finish(num_samples, report)
    if not refine:
        print(format_table(everything))
        print(report)
    else:
        selected = refine(everything)
        print(_ranking(selected))
        print(selected.report)
        for name in SELECTED if len(selected) else ():
            selected.write(folder.path / name)
    print(f"{len(everything)} CIF files and {folder.XYZ} are in {folder.path}")
    if refine and len(everything):
        print(f"{len(selected)} selected crystals are in {' and '.join(SELECTED)} there")
    return 0 if len(everything) else 1


def _ranking(selected: "SampleSet") -> str:
    """What `format_table` prints, with the number of the draw, the energy and the space group after
    symmetrising beside it.
    """
    from ase_crysdiff.data.table import format_table

    lines = format_table(selected).splitlines()
    width = max(map(len, lines))
    head = f"{lines[0]:{width}}  draw"
    columns = [
        ("crysdiff_energy_per_atom", "eV/atom", ".4f"),
        ("crysdiff_space_group", "symmetrised", ""),
    ]
    shown = [c for c in columns if any(c[0] in s.properties for s in selected)]
    head += "".join(f"  {title:>11}" for _, title, _ in shown)
    rows = [head, "-" * len(head)]
    for line, structure in zip(lines[2:], selected, strict=True):
        row = f"{line:{width}}  {structure.properties['crysdiff_index']:4d}"
        for name, _, style in shown:
            value = structure.properties.get(name)
            row += f"  {'-' if value is None else format(value, style):>11}"
        rows.append(row)
    return "\n".join(rows)
