"""Which reader a file has, by its name."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import ase.db
import ase.io
import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.crystal.cif.reading import crystal_blocks, structure_from_cif, structure_of
from ase_crysdiff.crystal.cif.text import Block
from ase_crysdiff.crystal.convert import atoms_to_structure
from ase_crysdiff.data.reading.archives import archive_records
from ase_crysdiff.data.reading.json_entries import json_records
from ase_crysdiff.data.reading.poscar import structure_from_poscar
from ase_crysdiff.data.reading.record import Record
from ase_crysdiff.data.reading.source import Source
from ase_crysdiff.data.reading.tables import table_records
from ase_crysdiff.errors import InputError

#: Gives the records of a source; they are named after its stem.
Reader: TypeAlias = Callable[[Source, str], Iterator[Record]]

KNOWN = (
    ".csv, .cif, .mcif, .vasp, names with POSCAR or CONTCAR, .json, .extxyz, .xyz, each also as "
    ".gz, .bz2 or .xz, .zip of those, .db, and .npz with arrays num_atoms, lattice, frac_coords "
    "and atomic_numbers"
)
#: Where the rows of our ASE databases keep site properties, in their `data`.
SITE_PROPERTIES = "crysdiff_site_properties"
#: `POSCAR.MgO`, `MgO_POSCAR`, `MgO.POSCAR`, `MgO-POSCAR-relaxed`
_VASP = re.compile(r"(?:poscar|contcar).*|.*(?:poscar|contcar)|.*[._\- ](?:poscar|contcar)[\w-]*")


def reader_of(source: Source) -> Reader | None:
    """The reader of a file; None if its kind is not known."""
    name = source.name.lower()
    for endings, reader in _READERS.items():
        if name.endswith(endings):
            on_disk = not (source.packing or source.member)
            return reader if on_disk or reader not in (_database, archive_records) else None
    return _poscar if _VASP.fullmatch(name) else None


def stem_of(source: Source) -> str:
    """What records of a source are called: its name without the ending, and for a bare POSCAR or
    CONTCAR, which every run of VASP has, the folder before it.
    """
    name = source.name
    if name.upper() in ("POSCAR", "CONTCAR"):
        return f"{source.folder}/{name}" if source.folder else name
    ending = next((e for ends in _READERS for e in ends if name.lower().endswith(e)), "")
    return name[: len(name) - len(ending)] or name


def _cif(source: Source, stem: str) -> Iterator[Record]:
    """Every data block that holds a crystal."""
    text = source.text()
    try:
        blocks = crystal_blocks(text)
    except InputError:  # which the one record raises again
        blocks = []
    if len(blocks) <= 1:
        yield Record(stem, partial(structure_from_cif, text))
        return
    for number, block in enumerate(blocks):
        yield Record(f"{stem}-{number}", partial(_of_block, block))


def _of_block(block: Block) -> Structure:
    try:
        return structure_of(block)
    except InputError as error:
        raise InputError(f"unreadable CIF, block {block.name}: {error}") from error


def _poscar(source: Source, stem: str) -> Iterator[Record]:
    yield Record(stem, partial(structure_from_poscar, source.text()))


def _xyz(source: Source, stem: str) -> Iterator[Record]:
    with source.open() as file:
        for number, atoms in enumerate(ase.io.iread(file, index=":", format="extxyz")):
            yield Record(f"{stem}-{number}", partial(atoms_to_structure, atoms))


def _database(source: Source, stem: str) -> Iterator[Record]:
    for row in ase.db.connect(source.path).select():
        yield Record(f"{stem}-{row.id}", partial(_from_row, row))


def _from_row(row: Any) -> Structure:
    atoms, data = row.toatoms(), dict(row.data)
    for name, values in data.pop(SITE_PROPERTIES, {}).items():
        atoms.set_array(name, np.array(values))
    atoms.info.update(data)
    return atoms_to_structure(atoms)


_READERS: dict[tuple[str, ...], Reader] = {
    (".csv",): table_records,
    (".cif", ".mcif"): _cif,
    (".json",): json_records,
    (".vasp",): _poscar,
    (".extxyz", ".xyz"): _xyz,
    (".db",): _database,
    (".npz",): archive_records,
}
