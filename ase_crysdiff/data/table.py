"""One line about a structure."""

from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
from pymatgen.core import Structure

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
    """Shortest distance between two atoms or an atom and its image, Å."""
    distances = structure.distance_matrix[~np.eye(len(structure), dtype=bool)]
    # Of reduced vectors one of the nearest combinations is the shortest of the lattice.
    steps = np.array([n for n in product((-1, 0, 1), repeat=3) if any(n)])
    own = np.linalg.norm(steps @ structure.lattice.lll_matrix, axis=1).min()
    return float(min(distances.min() if distances.size else own, own))


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
    rows = [{**summarise(s), **s.properties} for s in structures]
    return pd.DataFrame(rows, columns=None if rows else list(HEADERS))
