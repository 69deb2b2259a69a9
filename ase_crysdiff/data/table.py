"""One line about a structure."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from ase_crysdiff.crystal.close_pairs import close_pairs
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.refinement import SYMMETRY_ERRORS, space_group

HEADERS = {
    "formula": "formula",
    "atoms": "atoms",
    "space_group": "space group",
    "density": "density g/cm³",
    "shortest_distance": "shortest Å",
}
SYMPREC = 0.1


def summarise(structure: Structure) -> dict[str, str | int | float]:
    """Formula, number of atoms, space group (tolerance 0.1 Å), density (g/cm³) and shortest
    distance (Å).
    """
    try:
        group, _ = space_group(structure, SYMPREC)
    except SYMMETRY_ERRORS:  # atoms on each other, for example
        group = "unknown"
    return {
        "formula": structure.composition.reduced_formula,
        "atoms": len(structure),
        "space_group": group,
        "density": round(float(structure.density), 2),
        "shortest_distance": round(shortest_distance(structure), 2),
    }


def shortest_distance(structure: Structure) -> float:
    """Shortest distance between two atoms or an atom and its image, Å, in whatever cell.

    No packing of equal spheres is denser than the closest one, so that n atoms in a volume V have a
    pair within the cube root of √2 V / n.
    """
    reach = math.cbrt(math.sqrt(2) * structure.volume / len(structure))
    try:
        distances = close_pairs(structure, 1.001 * reach)[2]
    except InputError:  # a cell that is almost flat
        distances = np.array([])
    return float(min(distances, default=min(structure.lattice.abc)))


def format_table(structures: Iterable[Structure]) -> str:
    """A plain text table."""
    rows = [[str(v) for v in summarise(s).values()] for s in structures]
    rows = [list(HEADERS.values()), *rows]
    widths = [max(len(r[c]) for r in rows) for c in range(len(HEADERS))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def to_dataframe(structures: Iterable[Structure]) -> pd.DataFrame:
    """A row per structure: what `summarise` tells, then the structure's properties."""
    rows = [
        {**summarise(s), **{k: v for k, v in s.properties.items() if not _is_matrix(v)}}
        for s in structures
    ]
    return pd.DataFrame(rows, columns=None if rows else list(HEADERS))


def _is_matrix(value: object) -> bool:
    """Whether a property has no place in a cell of a table, such as a stress."""
    return isinstance(value, list | tuple) and any(isinstance(row, list | tuple) for row in value)
