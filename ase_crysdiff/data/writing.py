"""Structures on disk. Every file is complete or absent."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase.io
from ase.db import connect
from monty.json import MontyEncoder
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter

from ase_crysdiff.crystal.convert import ROLE, structure_to_atoms
from ase_crysdiff.data.reading.kinds import SITE_PROPERTIES
from ase_crysdiff.data.table import to_dataframe
from ase_crysdiff.errors import InputError
from ase_crysdiff.storage import ensure_writable, write_by

#: Arrays of atoms that an ASE database has columns for.
_DATABASE_ARRAYS = frozenset(
    {"numbers", "positions", "initial_magmoms", "initial_charges", "masses", "tags", "momenta"}
)


def cif_name(structure: Structure) -> str:
    """`0003-SrTiO3.cif`: the index, then the name in the file that it was read from, if any, else
    the formula.
    """
    index = int(structure.properties.get("crysdiff_index", 0))
    source = structure.properties.get("crysdiff_source")
    name = structure.composition.reduced_formula if source is None else str(source)
    plain = re.sub(r"[^\w.()+-]+", "_", name)[:80]  # names of folders before it, for example
    return f"{index:04d}-{plain}.cif"


def write_cif(structure: Structure, folder: Path) -> Path:
    """One structure as a CIF file named by `cif_name`."""
    target = folder / cif_name(structure)
    write_by(target, lambda path: path.write_text(_cif(structure)))
    return target


def _cif(structure: Structure) -> str:
    """The structure without symmetry, one row per site; of filled hosts each site tells its role.

    pymatgen writes site properties that are numbers only. `readers.structure_from_cif` brings the
    roles back.
    """
    writer = CifWriter(structure, significant_figures=8)
    roles = structure.site_properties.get(ROLE)
    if roles is not None:
        (block,) = writer.cif_file.data.values()
        block.data[f"_atom_site_{ROLE}"] = list(roles)
        (loop,) = (names for names in block.loops if "_atom_site_label" in names)
        loop.append(f"_atom_site_{ROLE}")
    return str(writer)


def write(structures: Sequence[Structure], report: Mapping[str, Any], path: Path) -> Path:
    """Writes by the ending: none = folder of CIF files, `.extxyz`, `.json`, `.csv`, `.db`."""
    if path.suffix == "":
        ensure_writable(path)
        for structure in structures:
            write_cif(structure, path)
        return path
    writers: dict[str, Callable[[Path], object]] = {
        ".extxyz": lambda part: _extxyz(structures, part),
        ".json": lambda part: _json(structures, report, part),
        ".csv": lambda part: to_dataframe(structures).to_csv(part, index=False),
        ".db": lambda part: _database(structures, part),
    }
    if path.suffix not in writers:
        raise InputError(
            f"{path.name}: the ending must be one of {sorted(writers)}, or none for a folder of "
            "CIF files."
        )
    ensure_writable(path.parent)
    write_by(path, writers[path.suffix])
    return path


def _json(structures: Sequence[Structure], report: Mapping[str, Any], path: Path) -> None:
    content = {"report": dict(report), "structures": [s.as_dict() for s in structures]}
    path.write_text(json.dumps(content, cls=MontyEncoder))


def _extxyz(structures: Sequence[Structure], path: Path) -> None:
    """One frame per structure; site properties are columns.

    Words with blanks in them, or empty ones, would shift the columns after them, so a site property
    that has such words is left out.
    """
    frames = [structure_to_atoms(s) for s in structures]
    for atoms in frames:
        for name, values in list(atoms.arrays.items()):
            if values.dtype.kind == "U" and not all(len(word.split()) == 1 for word in values):
                del atoms.arrays[name]
    ase.io.write(path, frames, format="extxyz")


def _database(structures: Sequence[Structure], path: Path) -> None:
    """One row per structure. `data` holds the properties, and beside them the site properties, for
    which an ASE database has no columns.
    """
    with connect(path, type="db", append=False) as database:
        for structure in structures:
            atoms = structure_to_atoms(structure)
            kept = {n: v.tolist() for n, v in atoms.arrays.items() if n not in _DATABASE_ARRAYS}
            data = {**atoms.info, SITE_PROPERTIES: kept} if kept else dict(atoms.info)
            database.write(atoms, data=data)
