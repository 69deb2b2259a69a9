"""`crysdiff pack`: crystals or molecules for samplers, or an archive of labels for potentials."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ase_crysdiff.cli.crew import add_crew, crew

if TYPE_CHECKING:
    from ase_crysdiff.data.label_sources import LabelSource
    from ase_crysdiff.data.packing import PackReport

#: Largest cells by default, of crystals and of frameworks.
_MAX_ATOMS, _MAX_FRAMEWORK_ATOMS = 52, 200
_LABELS_ONLY = (
    "energies",
    "label_sources",
    "references",
    "uncorrected",
    "leave_out",
    "free_atoms",
    "expanded_copies",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="[LEVEL=]FILE",
        help=(
            "CSV with a cif column, CIF, POSCAR, extended XYZ, ASE .db, folders; or .npz archives "
            "of labels, each with its level of theory where there are several; or one archive of "
            "molecules"
        ),
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="file to write, such as data.safetensors"
    )
    parser.add_argument(
        "--max-atoms", type=int, help="skip larger cells (default 52; 200 with --blocks)"
    )
    parser.add_argument(
        "--primitive",
        action="store_true",
        help="reduce to the primitive cell (MiAD's preprocessing)",
    )
    parser.add_argument(
        "--symmetry",
        action="store_true",
        help="pack space group and sites as well, for training with symmetric_share",
    )
    parser.add_argument(
        "--blocks",
        action="store_true",
        help="cut frameworks into rigid building blocks and pack these, for mofflow",
    )
    labels = parser.add_argument_group("labels only")
    labels.add_argument(
        "--energies",
        type=Path,
        nargs="+",
        default=[],
        metavar="TABLE",
        help="CSV with DFT formation energies: of one level they correct the labels, of several "
        "they give the references of each, and the energies of packed crystals (.safetensors)",
    )
    labels.add_argument(
        "--label-sources",
        nargs="+",
        default=[],
        metavar="WORD",
        help="only energies whose column label_source is one of these",
    )
    labels.add_argument(
        "--references",
        type=Path,
        help="packed labels whose references of the elements to use",
    )
    labels.add_argument(
        "--uncorrected",
        nargs="+",
        default=[],
        metavar="LEVEL_OR_FILE",
        help="levels, or files by name, of plain PBE energies: they get the Materials Project's "
        "corrections",
    )
    labels.add_argument(
        "--leave-out",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="archives, tables or texts that name materials to leave out",
    )
    labels.add_argument(
        "--free-atoms",
        type=Path,
        metavar="TABLE",
        help="CSV with heats of formation of free atoms (symbol, eV_per_atom)",
    )
    labels.add_argument(
        "--expanded-copies",
        type=int,
        default=0,
        metavar="N",
        help="of each crystal of the first level, with energies on the way to its free atoms",
    )
    add_crew(parser, help="processes that read crystals; 0, the default, reads here")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Packs, and prints what was skipped and why."""
    from ase_crysdiff.data.label_sources import LabelSource
    from ase_crysdiff.data.molecules import is_archive
    from ase_crysdiff.data.packing import pack
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.storage import check_ending, ensure_writable

    check_ending(options.output, (".safetensors",))
    ensure_writable(options.output.parent)
    sources = [LabelSource.parse(text) for text in options.sources]
    if options.blocks:
        return _pack_frameworks(sources, options)
    archives = [str(s.path) for s in sources if s.path.suffix == ".npz"]
    if archives and (options.workers or options.dask):
        raise InputError(
            f"--workers and --dask are for crystals, read one by one; {archives[0]} is an "
            "archive. Leave the option out."
        )
    if all(is_archive(source.path) for source in sources):
        return _pack_molecules([source.path for source in sources], options.output)
    if any(source.path.suffix == ".npz" for source in sources):
        return _pack_labels(sources, options)
    given = [name for name in _LABELS_ONLY if getattr(options, name)]
    if given or any(source.level for source in sources):
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given) or "A level of theory"
        raise InputError(f"{words} concerns labels (.npz); crystals have none. Leave it out.")
    with crew(options) as workers:
        packed, report = pack(
            [source.path for source in sources],
            max_atoms=_MAX_ATOMS if options.max_atoms is None else options.max_atoms,
            primitive=options.primitive,
            symmetry=options.symmetry,
            workers=workers,
        )
    packed.save(options.output)
    _tell(report)
    print(f"{options.output}: {len(packed)} crystals, sha256 {packed.digest[:12]}")
    return 0


def _tell(report: "PackReport") -> None:
    print(report.summary())
    for name, reason in report.skipped[:20]:
        print(f"    {name}: {reason}")


def _pack_frameworks(sources: "list[LabelSource]", options: argparse.Namespace) -> int:
    from ase_crysdiff.data.framework_packing import pack_frameworks
    from ase_crysdiff.errors import InputError

    if options.symmetry:
        raise InputError("--symmetry is about atoms on sites, --blocks about bodies. Give one.")
    most = _MAX_FRAMEWORK_ATOMS if options.max_atoms is None else options.max_atoms
    with crew(options) as workers:
        packed, report = pack_frameworks(
            [source.path for source in sources], max_atoms=most, workers=workers
        )
    packed.save(options.output)
    _tell(report)
    print(f"{options.output}: {len(packed)} frameworks, sha256 {packed.digest[:12]}")
    return 0


def _pack_molecules(paths: list[Path], output: Path) -> int:
    from ase_crysdiff.data.molecules import read_archive
    from ase_crysdiff.errors import InputError

    if len(paths) > 1:
        raise InputError("Archives of molecules are packed one by one. Give one of them.")
    packed = read_archive(paths[0])
    packed.save(output)
    print(f"{output}: {len(packed)} molecules, {packed.metadata['left_out']} left out")
    return 0


def _pack_labels(sources: "list[LabelSource]", options: argparse.Namespace) -> int:
    from ase_crysdiff.data.label_packing import pack_labels, references_of
    from ase_crysdiff.data.label_sources import read_names
    from ase_crysdiff.errors import InputError

    others = [str(s.path) for s in sources if s.path.suffix not in (".npz", ".safetensors")]
    if others:
        raise InputError(
            f"Archives of labels (.npz) share a packed file with packed crystals only, not with "
            f"{', '.join(others)}. Pack these first."
        )
    references = None if options.references is None else references_of(options.references)
    labels, report = pack_labels(
        sources,
        options.energies,
        references,
        label_sources=options.label_sources,
        uncorrected=options.uncorrected,
        leave_out=read_names(options.leave_out),
        free_atoms=options.free_atoms,
        expanded_copies=options.expanded_copies,
    )
    labels.save(options.output)
    for name, value in report.items():
        print(f"  {name}: {value:,.4g}" if isinstance(value, float) else f"  {name}: {value:,}")
    print(f"{options.output}: {len(labels)} configurations, {len(labels.forces)} atoms")
    return 0
