"""What is known of a crystal beside its structure, for tables and captions: read from its
properties.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.data.table import summarise
from ase_crysdiff.data.writing import DOUBT, UNCERTAINTY
from ase_crysdiff.pictures.typography import formula_text, number, with_subscripts

#: Energy above the hull and energy, eV/atom.
HEIGHT, ENERGY = "crysdiff_energy_above_hull", "crysdiff_energy_per_atom"
#: Properties that have a column where a crystal has them: title, and how many digits follow the
#: point; None for words.
_COLUMNS: Mapping[str, tuple[str, int | None]] = {
    HEIGHT: ("above hull, eV/atom", 3),
    ENERGY: ("energy, eV/atom", 3),
    UNCERTAINTY: ("± eV/atom", 3),
    "crysdiff_judge_energy_per_atom": ("judge, eV/atom", 3),
    "crysdiff_fmax": ("largest force, eV/Å", 3),
    "crysdiff_remark": ("verdict", None),
    DOUBT: ("doubt", None),
    "crysdiff_template": ("from", None),
}


def columns(structures: Sequence[Structure]) -> dict[str, list[str]]:
    """Cells by title of column, a cell per structure; columns of nothing are left out."""
    found = {}
    for name, (title, digits) in _COLUMNS.items():
        if any(name in s.properties for s in structures):
            found[title] = [_cell(name, s.properties.get(name), digits) for s in structures]
    return found


def caption(structure: Structure) -> tuple[str, ...]:
    """Lines below a picture: formula, space group, and the height or else the energy if known."""
    told = summarise(structure)
    lines = [formula_text(str(told["formula"])), with_subscripts(str(told["space_group"]))]
    height, energy = structure.properties.get(HEIGHT), structure.properties.get(ENERGY)
    if height is not None:
        lines.append(f"{number(1000 * height, 2)} meV/atom above hull")
    elif energy is not None:
        lines.append(f"{_cell(ENERGY, energy, 3)} eV/atom")
    return tuple(lines)


def _cell(name: str, value: Any, digits: int | None) -> str:
    if name == "crysdiff_remark" and value == "":
        return "accepted"
    if value is None or digits is None:
        return "" if value is None else str(value)
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
