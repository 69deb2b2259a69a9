"""Molecules on disk. Every file is complete or absent."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd
from monty.json import MontyEncoder
from pymatgen.core import Molecule

from ase_crysdiff.crystal.molecule_bonds import bond_orders
from ase_crysdiff.crystal.molecules import to_frame
from ase_crysdiff.errors import InputError
from ase_crysdiff.storage import ensure_writable, write_by, write_text

ENDINGS = (".xyz", ".extxyz", ".sdf", ".json", ".csv")


def write_molecules(
    molecules: Sequence[Molecule], table: pd.DataFrame, described: Mapping[str, Any], path: Path
) -> Path:
    """Writes molecules by the ending of a path; without an ending a folder of XYZ files.

    Args:
        molecules: What to write.
        table: A row for each, for `.csv`.
        described: Plain values of the whole set, for `.json`.
        path: Where to.

    Raises:
        InputError: If the ending is not known or the place cannot be written.
    """
    ending = path.suffix.lower()
    if not ending:
        ensure_writable(path)
        for number, molecule in enumerate(molecules):
            write_xyz([molecule], path / file_name(molecule, number))
        return path
    if ending not in ENDINGS:
        raise InputError(
            f"Molecules are written as {', '.join(ENDINGS)} or, without an ending, as a folder of "
            f"XYZ files; got {path.name!r}."
        )
    ensure_writable(path.parent)
    if ending == ".json":
        write_text(path, json.dumps(described, cls=MontyEncoder))
    elif ending == ".csv":
        write_text(path, table.to_csv(index=False))
    elif ending == ".sdf":
        write_text(path, "".join(f"{molfile(m)}$$$$\n" for m in molecules))
    else:
        write_xyz(molecules, path)
    return path


def formula(molecule: Molecule) -> str:
    """In Hill's order, without spaces."""
    return str(molecule.composition.hill_formula).replace(" ", "")


def molfile(molecule: Molecule) -> str:
    """A molecule in the V2000 format, with bonds by the published rule.

    Source: Dalby et al. 1992 (CTfile formats).
    """
    species = np.array([site.specie.Z for site in molecule])
    orders = bond_orders(species, molecule.cart_coords)
    bonds = np.argwhere(np.triu(orders)).tolist()
    counts = f"{len(species):3d}{len(bonds):3d}  0  0  0  0  0  0  0  0999 V2000"
    lines = [formula(molecule), "  crysdiff          3D", "", counts]
    lines += [
        f"{x:10.4f}{y:10.4f}{z:10.4f} {site.specie.symbol:<3} 0  0  0  0  0  0  0  0  0  0  0  0"
        for site, (x, y, z) in zip(molecule, molecule.cart_coords, strict=True)
    ]
    lines += [f"{i + 1:3d}{j + 1:3d}{orders[i, j]:3d}  0" for i, j in bonds]
    return "\n".join([*lines, "M  END", ""])


def file_name(molecule: Molecule, number: int = 0) -> str:
    """`0003-C7H10O2.xyz`: the index, then the formula.

    Args:
        molecule: Whose property `crysdiff_index` says which it is.
        number: In its place where there is none.
    """
    index = int((molecule.properties or {}).get("crysdiff_index", number))
    return f"{index:04d}-{formula(molecule)}.xyz"


def write_xyz(molecules: Sequence[Molecule], path: Path) -> None:
    """Molecules as one file, plain or extended XYZ by its ending."""
    frames, kind = [to_frame(m) for m in molecules], path.suffix[1:]
    named = {"comment": formula(molecules[0])} if kind == "xyz" and len(molecules) == 1 else {}
    write_by(path, lambda temporary: ase.io.write(temporary, frames, format=kind, **named))
