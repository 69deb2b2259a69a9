"""`crysdiff pack`."""

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "sources", nargs="+", type=Path, help="CSV with a cif column, CIF, POSCAR, extended XYZ, ASE .db, folders"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write, such as data.safetensors")
    parser.add_argument("--max-atoms", type=int, default=52, help="skip larger cells (default 52)")
    parser.add_argument("--primitive", action="store_true", help="reduce to the primitive cell (MiAD's preprocessing)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Packs, and prints what was skipped and why."""
    from ase_crysdiff.crystal.packing import pack
    from ase_crysdiff.storage import ensure_writable

    ensure_writable(options.output.parent)
    packed, report = pack(options.sources, max_atoms=options.max_atoms, primitive=options.primitive)
    packed.save(options.output)
    print(report.summary())
    for name, reason in report.skipped[:20]:
        print(f"    {name}: {reason}")
    print(f"{options.output}: {len(packed)} crystals, sha256 {packed.digest[:12]}")
    return 0
