"""Crystals in three dimensions inside a page: their data for the script `viewer.js`, which turns
them on a canvas, and drawings that stand where no script runs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ase.data import chemical_symbols, covalent_radii
from markupsafe import Markup
from pymatgen.core import Structure

from ase_crysdiff.pictures.crystals import drawing
from ase_crysdiff.pictures.scene import Scene, colour
from ase_crysdiff.report.rendering import environment, source

#: Digits of coordinates after the point, Å.
_DIGITS = 3


@dataclass(frozen=True)
class Viewer:
    """The crystals of a page that can be turned.

    A page holds `drawing(i)` for each crystal where it shall be seen, and `block()` once at its
    end. All crystals share one window and one script.

    Args:
        titles: Of each crystal, plain text.
        structures: Ordered crystals.
    """

    titles: Sequence[str]
    structures: Sequence[Structure]

    def drawing(self, number: int) -> Markup:
        """The drawing of a crystal, which opens its view when it is clicked.

        Args:
            number: Of the crystal.
        """
        svg = drawing(self.structures[number], f"Drawing of {self.titles[number]}")
        return Markup(f'<div class="view" data-view="{number}">{svg}</div>')

    def block(self) -> Markup:
        """The window, the data of all crystals and the script; nothing without crystals."""
        if not self.structures:
            return Markup("")
        data = [
            _described(title, structure)
            for title, structure in zip(self.titles, self.structures, strict=True)
        ]
        template = environment().get_template("viewer.html.j2")
        return Markup(template.render(data=inert(data), script=source("viewer.js")))


def inert(data: Any) -> Markup:
    """JSON that cannot end the script element in which it stands, whatever its words."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _described(title: str, structure: Structure) -> dict[str, Any]:
    """Elements with symbol, colour and radii of balls and of filled space, Å; atoms with place, Å,
    and the number of their element; pairs of atoms that are joined; corners of the cell, Å.
    """
    scene = Scene.of(structure)
    kinds = sorted({int(z) for z in scene.numbers})
    radii = {int(z): float(r) for z, r in zip(scene.numbers, scene.radii, strict=True)}
    return {
        "title": title,
        "elements": [
            [chemical_symbols[z], colour(z), round(radii[z], 2), round(float(covalent_radii[z]), 2)]
            for z in kinds
        ],
        "atoms": [
            [*(round(float(x), _DIGITS) for x in place), kinds.index(int(z))]
            for place, z in zip(scene.atoms, scene.numbers, strict=True)
        ],
        "bonds": scene.bonds.tolist(),
        "corners": [[round(float(x), _DIGITS) for x in corner] for corner in scene.corners],
    }
