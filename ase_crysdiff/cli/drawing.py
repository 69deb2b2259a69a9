"""What the commands that draw crystals have in common: options, the folder, tables."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.cli.crew import add_crew, crew
from ase_crysdiff.cli.fields import add_device
from ase_crysdiff.errors import InputError

if TYPE_CHECKING:
    from ase_crysdiff.conditions.base import Condition
    from ase_crysdiff.sampling.request import SampleRequest
    from ase_crysdiff.sampling.sample_set import SampleSet
    from pymatgen_ext.samplers import StructureSampler
    from pymatgen_ext.selection import Refinement

#: Files with what `--potential`, `--distinct` and `--symprec` leave.
SELECTED = ("selected.extxyz", "selected.csv")


def add_drawing_options(parser: argparse.ArgumentParser, samples: int, output: str) -> None:
    """Options of every command that draws crystals and selects among them."""
    add = parser.add_argument
    count = f"crystals (default {samples})"
    add("-n", "--num-samples", "--count", type=int, default=samples, help=count)
    add(
        "--first",
        type=int,
        help="number of the first crystal of a run that is shared out among folders with the same "
        "--seed, for job arrays; crysdiff merge joins them",
    )
    where = f"folder for the results (default {output})"
    add("-o", "--output", type=Path, default=Path(output), help=where)
    add("--guidance", metavar="POTENTIAL", help="steer to low energy: dao-p, chgnet, ...")
    add(
        "--guidance-scale",
        type=float,
        help="with --guidance: how strongly, 1/(eV/atom); 0 is unguided (default 1)",
    )
    add("--potential", help="rank by energy per atom: dao-p or chgnet")
    add(
        "--relax",
        action="store_true",
        help="relax with --potential first: with the symmetry kept, then released",
    )
    add(
        "--rank-prior",
        type=float,
        metavar="ENERGY",
        help="weight of the sampler's own order against energies, eV/atom; 0 for energies alone "
        "(default: the potential's)",
    )
    add("--distinct", action="store_true", help="keep only the best of crystals that are the same")
    add("--symprec", type=float, help="symmetrise within this tolerance, Å; 0.1 is usual")
    add("--steps", type=int, help="steps of the reverse process")
    add("--seed", type=int, help="0 to 2^63 - 1; drawn and recorded if not given")
    add("--redraws", type=int, default=3, help="attempts after an unusable draw (default 3)")
    add("--batch-size", type=int, help="crystals computed together")
    add_crew(parser)
    add_device(parser)


def add_element_options(parser: argparse.ArgumentParser) -> None:
    """Options of the commands whose samplers find the elements themselves."""
    parser.add_argument("--chemical-system", help="exactly these elements, such as Li-Mn-O")
    parser.add_argument("--elements", help="only these elements may occur, such as Li-Mn-O-F")
    parser.add_argument("--num-atoms", type=int, help="atoms per cell")


def refinement(options: argparse.Namespace, fixed_cell: bool = False) -> "Refinement":
    """What is to be done with the finished set; refuses nonsense before a folder is touched, since
    a refused command must not leave a run behind that the corrected one then contradicts.

    Raises:
        InputError: If a common option makes no sense.
        UnknownNameError: If there is no potential of that name.
    """
    from ase_crysdiff.arguments import positive
    from ase_crysdiff.randomness import MAX_SEED
    from pymatgen_ext.selection import Refinement

    least = {"num_samples": 1, "first": 0, "workers": 0, "redraws": 0, "seed": 0, "batch_size": 1}
    for name, smallest in least.items():
        if getattr(options, name) is not None:
            positive(name.replace("_", "-"), getattr(options, name), smallest)
    if options.seed is not None and options.seed > MAX_SEED:
        raise InputError(f"seed must be at most 2^63 - 1, got {options.seed}.")
    return Refinement.of(
        options.potential,
        options.distinct,
        options.symprec,
        fixed_cell,
        options.relax,
        options.rank_prior,
    )


def guidance(options: argparse.Namespace) -> "tuple[Condition, ...]":
    """The condition that was asked for.

    Raises:
        InputError: If the scale makes no sense, or there is nothing that it scales.
        UnknownNameError: If there is no potential of that name.
    """
    if options.guidance is None:
        if options.guidance_scale is not None:
            raise InputError(
                "--guidance-scale means nothing without --guidance. Name a potential, such as "
                "--guidance dao-p."
            )
        return ()
    from pymatgen_ext.guidance import EnergyGuidance

    return (EnergyGuidance(options.guidance, _scale(options)),)


def _scale(options: argparse.Namespace) -> float:
    """How strongly to guide, where there is guidance."""
    return 1.0 if options.guidance_scale is None else options.guidance_scale


def draw_and_select(
    options: argparse.Namespace,
    sampler: "StructureSampler",
    request: "SampleRequest",
    settings: Mapping[str, Any],
    refine: "Refinement",
    cell: Any = None,
    notes: tuple[str, ...] = (),
) -> int:
    """Draws what is missing in the folder, writes what is selected, prints a table; 1 if there are
    no crystals.

    The selection is made anew from the finished set, so it may change from one call to the next
    while the draws stay.
    """
    from ase_crysdiff.campaigns.drawing import draw_into
    from ase_crysdiff.data.folder import CrystalFolder
    from ase_crysdiff.data.table import format_table

    scale = None if options.guidance is None else _scale(options)
    with crew(options) as workers:
        everything = draw_into(
            options.output,
            sampler,
            request,
            {**settings, "guidance": options.guidance, "guidance_scale": scale},
            num_samples=options.num_samples,
            first=options.first,
            seed=options.seed,
            redraws=options.redraws,
            batch_size=options.batch_size,
            workers=workers,
            cell=cell,
            notes=notes,
        )
    selected = refine(everything) if refine else everything
    print(_ranking(selected) if refine else format_table(selected))
    print(selected.report)
    if refine and len(selected):
        for name in SELECTED:
            selected.write(options.output / name)
    count = len(everything)
    print(f"{count} CIF files and {CrystalFolder.XYZ} are in {options.output}")
    if refine and count:
        print(f"{len(selected)} selected crystals are in {' and '.join(SELECTED)} there")
    return 0 if count else 1


def _ranking(selected: "SampleSet") -> str:
    """A table with the number of the draw, the energy, its expected error, the space group of the
    saddle that a crystal has left, that after symmetrising, and whether the potential knows it.
    """
    from ase_crysdiff.data.wide_table import wide_table

    columns = {
        "crysdiff_energy_per_atom": ("eV/atom", ".4f"),
        "crysdiff_energy_uncertainty": ("± eV/atom", ".3f"),
        "crysdiff_fallen_from": ("fallen from", ""),
    }
    if any("crysdiff_symprec" in s.properties for s in selected):
        columns["crysdiff_space_group"] = ("symmetrised", "")
    shown = {k: c for k, c in columns.items() if any(k in s.properties for s in selected)}

    def cells(structure: Any) -> str:
        p = structure.properties
        values = [
            "-" if p.get(k) is None else format(p[k], style) for k, (_, style) in shown.items()
        ]
        told = f"  {p['crysdiff_doubt']}" if "crysdiff_doubt" in p else ""
        return f"{p['crysdiff_index']:4d}" + "".join(f"  {value:>11}" for value in values) + told

    head = "draw" + "".join(f"  {title:>11}" for title, _ in shown.values())
    return wide_table(selected, head, cells)
