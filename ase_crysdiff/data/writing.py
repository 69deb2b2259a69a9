"""Structures on disk. Every file is complete or absent."""

import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.db.core import check
from ase.stress import full_3x3_to_voigt_6_stress
from monty.json import MontyEncoder
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter

from ase_crysdiff import arguments
from ase_crysdiff.crystal.cif.origin import origin_item
from ase_crysdiff.crystal.convert import ROLE, has_place, structure_to_atoms
from ase_crysdiff.data.reading.kinds import SITE_PROPERTIES
from ase_crysdiff.data.table import to_dataframe
from ase_crysdiff.errors import InputError
from ase_crysdiff.storage import ensure_writable, write_by
from ase_crysdiff.symmetry.refinement import SYMMETRY_ERRORS

#: Arrays of atoms that an ASE database has columns for.
_DATABASE_ARRAYS = frozenset(
    {"numbers", "positions", "initial_magmoms", "initial_charges", "masses", "tags", "momenta"}
)


#: What a relaxation leaves with a structure: forces of its sites, eV/Å, and the stress of its cell,
#: eV/Å³, tension positive.
FORCES, STRESS = "crysdiff_forces", "crysdiff_stress"
#: What a potential says of how far its energy of a structure is to be believed: standard deviation
#: of the error, eV/atom; and, in words, that it is outside of what the potential knows.
UNCERTAINTY, DOUBT = "crysdiff_energy_uncertainty", "crysdiff_doubt"


def cif_name(structure: Structure) -> str:
    """`0003-SrTiO3.cif`: the index, then the name in the file that it was read from, if any, else
    the formula.
    """
    index = int(structure.properties.get("crysdiff_index", 0))
    source = structure.properties.get("crysdiff_source")
    name = structure.composition.reduced_formula if source is None else str(source)
    plain = re.sub(r"[^\w.()+-]+", "_", name)[:80]  # names of folders before it, for example
    return f"{index:04d}-{plain}.cif"


def write_cif(
    structure: Structure, folder: Path, name: str | None = None, symprec: float | None = None
) -> Path:
    """One structure as a CIF file.

    Args:
        structure: What to write.
        folder: Where to.
        name: Of the file; by default that of `cif_name`.
        symprec: Tolerance in Å of the symmetry that it is written with; None writes all sites.
    """
    target = folder / (name or cif_name(structure))
    write_by(target, lambda path: path.write_text(_cif(structure, symprec), encoding="utf-8"))
    return target


def frame(structure: Structure) -> Atoms:
    """ASE atoms with the energy, forces and stress that are among the properties, where ASE looks
    for them: in a calculator that holds results.
    """
    atoms = structure_to_atoms(structure)
    forces, stress = atoms.arrays.pop(FORCES, None), atoms.info.pop(STRESS, None)
    per_atom = atoms.info.get("crysdiff_energy_per_atom", math.nan)
    energy = atoms.info.get("crysdiff_energy", per_atom * len(atoms))
    if math.isfinite(energy):
        results = {"energy": float(energy), "forces": forces}
        if stress is not None:
            results["stress"] = full_3x3_to_voigt_6_stress(np.array(stress))
        known = {name: value for name, value in results.items() if value is not None}
        atoms.calc = SinglePointCalculator(atoms, **known)
    return atoms


def _cif(structure: Structure, symprec: float | None = None) -> str:
    """The structure without symmetry, one row per site; of filled hosts each site tells its role,
    and what this package has noted of the structure is an item of its own. With `symprec` in the
    conventional cell of its space group, without roles; a structure without symmetry stays as it
    is.

    pymatgen writes site properties that are numbers only. `structure_from_cif` brings roles and
    notes back.
    """
    text, note = _written(structure, symprec), origin_item(structure.properties)
    heading = text.index("data_") + len("data_")
    first = text.index("\n", heading) + 1
    return text[:first] + note + text[first:]


def _written(structure: Structure, symprec: float | None) -> str:
    """As pymatgen writes it, with roles."""
    bare = Structure(structure.lattice, structure.species, structure.frac_coords)
    if symprec is not None:
        with warnings.catch_warnings(), suppress(*SYMMETRY_ERRORS):
            warnings.simplefilter("ignore")
            return str(CifWriter(bare, symprec=symprec, significant_figures=8))
    moments = structure.site_properties.get("magmom")  # which pymatgen writes, and takes on trust
    has_moments = moments is not None and has_place("magmom", moments)
    writer = CifWriter(structure if has_moments or moments is None else bare, significant_figures=8)
    roles = structure.site_properties.get(ROLE)
    if roles is not None:
        (block,) = writer.cif_file.data.values()
        block.data[f"_atom_site_{ROLE}"] = list(roles)
        (loop,) = (names for names in block.loops if "_atom_site_label" in names)
        loop.append(f"_atom_site_{ROLE}")
    return str(writer)


def write(
    structures: Sequence[Structure],
    content: Mapping[str, Any],
    path: Path,
    *,
    symprec: float | None = None,
) -> Path:
    """Writes by the ending: none = folder of CIF files, `.cif`, `.extxyz`, `.json`, `.csv`, `.db`.

    Args:
        structures: What to write; none of them replaces another of the same name.
        content: What `.json` holds beside them.
        path: Where to.
        symprec: Tolerance in Å of the symmetry that CIF files are written with; None writes all
            sites of each cell.

    Raises:
        InputError: If the ending is not known, or the place cannot be written.
    """
    tolerance = arguments.symprec(symprec)
    if symprec is not None and path.suffix not in ("", ".cif"):
        raise InputError(f"symprec is for CIF files; {path.name} holds the cells as they are.")
    if path.name.upper().startswith(("POSCAR", "CONTCAR")):
        raise InputError(
            f"{path.name} would hold one crystal. Write that one: structure.to(filename="
            f"{path.name!r}), or give a folder, .cif, .extxyz, .json, .csv or .db."
        )
    if path.suffix == "":
        ensure_writable(path)
        for structure, name in zip(structures, _names(structures), strict=True):
            write_cif(structure, path, name, tolerance)
        return path
    writers: dict[str, Callable[[Path], object]] = {
        ".cif": lambda part: _blocks(structures, tolerance, part),
        ".extxyz": lambda part: _extxyz(structures, part),
        ".json": lambda part: _json(structures, content, part),
        ".csv": lambda part: to_dataframe(structures).to_csv(part, index=False, encoding="utf-8"),
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


def _names(structures: Sequence[Structure]) -> list[str]:
    """`cif_name` of each; a name that occurs again gets a number."""
    seen: Counter[str] = Counter()
    names = []
    for structure in structures:
        name = cif_name(structure)
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name.removesuffix('.cif')}-{seen[name]}.cif")
    return names


def _blocks(structures: Sequence[Structure], symprec: float | None, path: Path) -> None:
    """All structures in one CIF file, a data block each."""
    texts = []
    for structure, name in zip(structures, _names(structures), strict=True):
        lines = _cif(structure, symprec).splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("data_"))
        texts.append("\n".join([f"data_{name.removesuffix('.cif')}", *lines[first + 1 :]]))
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")


def _json(structures: Sequence[Structure], content: Mapping[str, Any], path: Path) -> None:
    everything = {**content, "structures": [s.as_dict() for s in structures]}
    path.write_text(json.dumps(everything, cls=MontyEncoder), encoding="utf-8")


def _extxyz(structures: Sequence[Structure], path: Path) -> None:
    """One frame per structure; site properties are columns.

    Words with blanks in them, or empty ones, would shift the columns after them, so a site property
    that has such words is left out. An empty value would take the one after it for its own, and a
    line break in one would end the frame's line.
    """
    frames = [frame(s) for s in structures]
    for atoms in frames:
        for name, values in list(atoms.arrays.items()):
            if values.dtype.kind == "U" and not all(len(word.split()) == 1 for word in values):
                del atoms.arrays[name]
        for name, value in list(atoms.info.items()):
            atoms.info[name] = " ".join(value.split()) if isinstance(value, str) else value
            if value is None or (hasattr(value, "__len__") and not len(atoms.info[name])):
                del atoms.info[name]
    ase.io.write(path, frames, format="extxyz")


def _database(structures: Sequence[Structure], path: Path) -> None:
    """One row per structure, with energy, forces and stress where they are known. Numbers and words
    among the properties are key-value pairs, which can be searched and shown; `data` holds all
    properties, and beside them the site properties, for which an ASE database has no columns.
    """
    with connect(path, type="db", append=False) as database:
        for structure in structures:
            atoms = frame(structure)
            kept = {n: v.tolist() for n, v in atoms.arrays.items() if n not in _DATABASE_ARRAYS}
            data = {**atoms.info, SITE_PROPERTIES: kept} if kept else dict(atoms.info)
            database.write(atoms, key_value_pairs=_pairs(atoms.info), data=data)


def _pairs(info: Mapping[str, Any]) -> dict[str, Any]:
    """What an ASE database takes as key-value pairs: no lists, no words that read as numbers, no
    names that have a meaning of their own.
    """
    pairs: dict[str, Any] = {}
    for name, value in info.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if not isinstance(plain, str | int | float) or plain == "" or plain != plain:
            continue
        with suppress(ValueError):
            check({name: plain})
            pairs[name] = plain
    return pairs
