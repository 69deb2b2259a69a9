"""Structures on disk. Every file is complete or absent."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase.io
from ase.db import connect
from monty.json import MontyEncoder
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter

from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.data.table import to_dataframe
from ase_crysdiff.errors import InputError
from ase_crysdiff.storage import ensure_writable

#: Site property of filled hosts: "host" or "guest".
ROLE = "crysdiff_role"


def cif_name(structure: Structure) -> str:
    """`0003-SrTiO3.cif`: the index, then the formula."""
    index = int(structure.properties.get("crysdiff_index", 0))
    return f"{index:04d}-{structure.composition.reduced_formula}.cif"


def write_cif(structure: Structure, folder: Path) -> Path:
    """One structure as a CIF file named by `cif_name`."""
    target = folder / cif_name(structure)
    _atomically(target, lambda path: path.write_text(_cif(structure)))
    return target


def _cif(structure: Structure) -> str:
    """The structure without symmetry, one row per site; of filled hosts each site tells its role.

    pymatgen writes site properties that are numbers only.
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
        ".extxyz": lambda part: ase.io.write(
            part, [structure_to_atoms(s) for s in structures], format="extxyz"
        ),
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
    _atomically(path, writers[path.suffix])
    return path


def _json(structures: Sequence[Structure], report: Mapping[str, Any], path: Path) -> None:
    content = {"report": dict(report), "structures": [s.as_dict() for s in structures]}
    path.write_text(json.dumps(content, cls=MontyEncoder))


def _database(structures: Sequence[Structure], path: Path) -> None:
    with connect(path, type="db", append=False) as database:
        for structure in structures:
            atoms = structure_to_atoms(structure)
            database.write(atoms, data=dict(atoms.info))


def _atomically(target: Path, write_to: Callable[[Path], object]) -> None:
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    write_to(part)
    os.replace(part, target)
