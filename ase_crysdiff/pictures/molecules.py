"""Drawings of molecules, and tables with them, as notebooks show them."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pymatgen.core import Molecule

from ase_crysdiff.crystal.molecule_bonds import bond_orders
from ase_crysdiff.data.writing_molecules import formula
from ase_crysdiff.errors import InputError
from ase_crysdiff.pictures.crystals import scene_image
from ase_crysdiff.pictures.notebook import SHOWN
from ase_crysdiff.pictures.scene import Points, Scene
from ase_crysdiff.pictures.typography import formula_html, formula_text

if TYPE_CHECKING:
    from ase_crysdiff.pictures.grid import Picture

_SIZE = 96
_TITLES = {"atoms": "atoms", "stable_atoms": "stable atoms", "smiles": "SMILES"}


class MoleculeScene(Scene):
    """What is seen of a molecule: balls and bonds, along the axis in which it is thinnest."""

    @property
    def edges(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """None: there is no cell."""
        return [], []

    @staticmethod
    def of_molecule(molecule: Molecule) -> "MoleculeScene":
        """The scene of a molecule."""
        numbers = np.array([site.specie.Z for site in molecule], dtype=np.int64)
        places = molecule.cart_coords - molecule.cart_coords.mean(0)
        bonds = np.argwhere(np.triu(bond_orders(numbers, places)))
        atoms: Points = places @ np.linalg.svd(places, full_matrices=True)[2].T
        return MoleculeScene(atoms, numbers, bonds.astype(np.int64), np.zeros((8, 3)))


def molecule_image(molecule: Molecule, label: str, size: int = _SIZE) -> str:
    """One molecule as an image element that needs nothing around it.

    Args:
        molecule: Ordered.
        label: For readers that do not see it.
        size: Width and height, pixels.
    """
    return scene_image(MoleculeScene.of_molecule(molecule), label, size)


def molecule_grid(molecules: Sequence[Molecule], *, columns: int, limit: int) -> "Picture":
    """Drawings of molecules side by side, with the formula of each below it.

    Args:
        molecules: Ordered.
        columns: Panels in a row.
        limit: Molecules that are drawn at most; how many are left out stands at the bottom.

    Raises:
        InputError: If there are no molecules, or `columns` or `limit` is below one.
    """
    from ase_crysdiff.pictures.grid import scene_grid  # and with it matplotlib

    if not molecules:
        raise InputError("There are no molecules to draw.")
    if columns < 1 or limit < 1:
        raise InputError(f"columns and limit are at least 1, got {columns} and {limit}.")
    shown = molecules[:limit]
    captions = [[formula_text(formula(m))] for m in shown]
    scenes = [MoleculeScene.of_molecule(m) for m in shown]
    return scene_grid(scenes, captions, columns, len(molecules) - len(shown))


def molecule_table(
    molecules: Sequence[Molecule], table: pd.DataFrame, heading: str, *, limit: int = SHOWN
) -> str:
    """An HTML table, a row per molecule: number, drawing, formula and what else is known of it.

    Args:
        molecules: Ordered.
        table: A row for each.
        heading: What stands above, plain text.
        limit: Rows that are shown; below them stands how many are left out.
    """
    titles = {name: title for name, title in _TITLES.items() if name in table}
    head = "".join(f"<th>{escape(t)}</th>" for t in ("", "", "formula", *titles.values()))
    rows = ""
    for k, molecule in enumerate(molecules[:limit]):
        told = table.iloc[k]
        written = str(told["formula"])
        known = ["" if told[n] is None else escape(str(told[n])) for n in titles]
        drawing = molecule_image(molecule, f"Drawing of {written}")
        cells = (str(k), drawing, formula_html(written), *known)
        rows += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    shown = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    left = len(molecules) - limit
    rest = f"<p>{left:,} more are not shown; to_dataframe() has all.</p>" if left > 0 else ""
    return f"<div><p>{escape(heading)}</p>{shown}{rest}</div>"
