"""`crysdiff relax`: relaxes files into a folder; given again after an interruption, it goes on
where it was.
"""

import argparse
import hashlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.relaxation.structures import RelaxResult


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
        default=Path("relaxed"),
        help="folder for the results (default relaxed)",
    )
    parser.add_argument("--potential", default="dao-p", help="dao-p (default) or chgnet")
    parser.add_argument(
        "--fmax",
        type=float,
        default=0.05,
        help="largest force that may remain, eV/Å (default 0.05)",
    )
    parser.add_argument(
        "--steps", type=int, default=500, help="steps at most for each structure (default 500)"
    )
    parser.add_argument("--fixed-cell", action="store_true", help="move the atoms only")
    parser.add_argument(
        "--optimizer",
        default="lbfgs",
        help="lbfgs (default), fire, or lbfgs-ase with the steps of ASE's LBFGS",
    )
    parser.add_argument(
        "--max-atoms", type=int, help="atoms computed together; lower it if memory runs out"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Relaxes what is missing in the folder, then writes the common files and prints a table; 1 if
    nothing could be relaxed.
    """
    from tqdm import tqdm

    from ase_crysdiff.data.folder import CrystalFolder
    from ase_crysdiff.data.writing import write
    from ase_crysdiff.potentials.loading import as_potential
    from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options
    from ase_crysdiff.relaxation.structures import iter_relax
    from ase_crysdiff.storage import Store

    # Before the folder is touched: a refused command must not leave a run behind that the corrected
    # one then contradicts.
    max_atoms = MAX_ATOMS if options.max_atoms is None else options.max_atoms
    check_options(options.fmax, options.steps, options.optimizer, max_atoms)
    structures, unreadable = _read(options.files)
    potential = as_potential(options.potential)
    choices = {
        "fmax": options.fmax,
        "steps": options.steps,
        "relax_cell": not options.fixed_cell,
        "optimizer": options.optimizer,
    }
    settings = {"potential": potential.name, **choices, "inputs": _digest(structures)}
    folder = CrystalFolder(Store(options.output, settings))
    missing = [i for i in structures if i not in folder.done]
    if len(missing) < len(structures):
        print(f"{len(structures) - len(missing)} structures are already in {options.output}")
    failed = dict(unreadable)
    found = iter_relax([structures[i] for i in missing], potential, **choices, max_atoms=max_atoms)
    for k, result in tqdm(found, total=len(missing), desc="relax", unit=" crystals", disable=None):
        if result.structure is None or math.isnan(result.energy):  # nothing was computed
            failed[missing[k]] = (
                f"{structures[missing[k]].properties['crysdiff_source']}: {result.reason}"
            )
        else:
            folder.add([_labelled(result, result.structure, missing[k])])
    done = [folder.done[i] for i in sorted(folder.done)]
    if done:
        write(done, {}, options.output / CrystalFolder.XYZ)
        write(done, {}, options.output / "table.csv")
        print(_table(done))
    for i in sorted(failed):
        print(f"failed: {failed[i]}", file=sys.stderr)
    converged = sum(s.properties["crysdiff_converged"] for s in done)
    accepted = sum(s.properties["crysdiff_accepted"] for s in done)
    print(
        f"{len(done)} of {len(structures) + len(unreadable)} structures relaxed with "
        f"{potential.name}: "
        f"{converged} converged, {accepted} accepted, {len(failed)} failed"
    )
    if done:
        print(f"{len(done)} CIF files, {CrystalFolder.XYZ} and table.csv are in {options.output}")
    return 0 if done else 1


def _read(files: list[Path]) -> tuple[dict[int, "Structure"], dict[int, str]]:
    """Structures by position in the input, and what could not be read."""
    from ase_crysdiff.data.readers import read_records

    structures, unreadable = {}, {}
    records = (record for file in files for record in read_records(file))
    for i, record in enumerate(records):
        try:
            structure = record.load()
        except Exception as error:  # whatever a parser raises concerns this entry only
            unreadable[i] = f"{record.name}: unreadable ({error})"
            continue
        structure.properties = {"crysdiff_index": i, "crysdiff_source": record.name}
        structures[i] = structure
    return structures, unreadable


def _digest(structures: dict[int, "Structure"]) -> str:
    """Tells another input from the same one, so that a folder is not continued with it."""
    digest = hashlib.sha256()
    for i, structure in structures.items():
        digest.update(repr((i, structure.formula)).encode())
        digest.update(
            structure.lattice.matrix.round(8).tobytes() + structure.frac_coords.round(8).tobytes()
        )
    return digest.hexdigest()[:16]


def _labelled(result: "RelaxResult", structure: "Structure", index: int) -> "Structure":
    """The structure with its numbers among its properties, for the files."""
    labels: dict[str, Any] = {
        "crysdiff_index": index,
        "crysdiff_energy": result.energy,
        "crysdiff_energy_per_atom": result.energy_per_atom,
        "crysdiff_first_energy": result.first_energy,
        "crysdiff_fmax": result.fmax,
        "crysdiff_steps": result.steps,
        "crysdiff_converged": result.converged,
        "crysdiff_accepted": result.accepted,
        "crysdiff_remark": result.reason or "",
    }
    labelled: Structure = structure.copy(properties={**structure.properties, **labels})
    return labelled


def _table(structures: list["Structure"]) -> str:
    """What `format_table` prints, with energies and verdicts beside it."""
    from ase_crysdiff.data.table import format_table

    lines = format_table(structures).splitlines()
    width = max(map(len, lines))
    head = f"{lines[0]:{width}}  eV/atom    fmax eV/Å  steps  verdict"
    rows = [head, "-" * len(head)]
    for line, structure in zip(lines[2:], structures, strict=True):
        p = {name.removeprefix("crysdiff_"): value for name, value in structure.properties.items()}
        verdict = p["remark"] or "accepted"
        rows.append(
            f"{line:{width}}  {p['energy_per_atom']:9.4f}  {p['fmax']:9.4f}  {p['steps']:5d}  "
            f"{verdict}"
        )
    return "\n".join(rows)
