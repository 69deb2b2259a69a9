"""`crysdiff pack`: crystals for samplers, or an archive of labels for potentials."""

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        help=(
            "CSV with a cif column, CIF, POSCAR, extended XYZ, ASE .db, folders; or .npz archives "
            "of labels"
        ),
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="file to write, such as data.safetensors"
    )
    parser.add_argument("--max-atoms", type=int, default=52, help="skip larger cells (default 52)")
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
        "--energies",
        type=Path,
        help="labels only: CSV with DFT formation energies that correct them",
    )
    parser.add_argument(
        "--references",
        type=Path,
        help="labels only: packed labels whose references of the elements to use",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Packs, and prints what was skipped and why."""
    from ase_crysdiff.data.packing import pack
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.storage import check_ending, ensure_writable

    check_ending(options.output, (".safetensors",))
    ensure_writable(options.output.parent)
    labels = [source for source in options.sources if source.suffix == ".npz"]
    if labels:
        if len(labels) < len(options.sources):
            raise InputError(
                "Archives of labels (.npz) and crystals cannot share a packed file. Pack them one "
                "after the other."
            )
        return _pack_labels(labels, options)
    if options.energies or options.references:
        raise InputError(
            "--energies and --references correct labels (.npz); crystals have none. Leave them out."
        )
    packed, report = pack(
        options.sources,
        max_atoms=options.max_atoms,
        primitive=options.primitive,
        symmetry=options.symmetry,
    )
    packed.save(options.output)
    print(report.summary())
    for name, reason in report.skipped[:20]:
        print(f"    {name}: {reason}")
    print(f"{options.output}: {len(packed)} crystals, sha256 {packed.digest[:12]}")
    return 0


def _pack_labels(sources: list[Path], options: argparse.Namespace) -> int:
    from ase_crysdiff.data.label_packing import pack_labels, references_of

    references = None if options.references is None else references_of(options.references)
    labels, report = pack_labels(sources, options.energies, references)
    labels.save(options.output)
    for name, value in report.items():
        print(f"  {name}: {value:,.4g}" if isinstance(value, float) else f"  {name}: {value:,}")
    print(f"{options.output}: {len(labels)} configurations, {len(labels.forces)} atoms")
    return 0
