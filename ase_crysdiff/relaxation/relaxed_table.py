"""Relaxed crystals in a plain text table."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.data.wide_table import wide_table
from ase_crysdiff.data.writing import DOUBT, UNCERTAINTY
from ase_crysdiff.relaxation.results import JUDGE, JUDGE_ENERGY, JUDGE_REMARK

#: The last letters of a longer name are shown: folders stand before it.
_LONGEST_NAME = 40


def outside_remark(count: int, potential: str) -> str:
    """How many crystals a potential does not know, to end a sentence; empty for none."""
    return f", {count} outside of what {potential} knows" if count else ""


def relaxed_table(structures: Iterable[Structure]) -> str:
    """A row per relaxed structure, with the name of its file if it has one, its energy, the
    expected error where the potential says it, remaining force, steps and verdict.

    Args:
        structures: With the properties of `RelaxResult.labelled`.
    """
    structures = list(structures)
    is_said = any(UNCERTAINTY in structure.properties for structure in structures)
    judge = next((s.properties[JUDGE] for s in structures if s.properties.get(JUDGE)), "")
    width = max((len(_name(s)) for s in structures), default=0)
    column = f"{judge} eV/atom" if judge else ""

    def cells(structure: Structure) -> str:
        p = structure.properties
        verdict = p.get("crysdiff_remark") or "accepted"
        name = f"{_name(structure):{width}}  " if width else ""
        second = f"{p.get(JUDGE_ENERGY, math.nan):{len(column)}.4f}  " if judge else ""
        return (
            f"{name}{p['crysdiff_energy_per_atom']:9.4f}  {_spread(p) if is_said else ''}{second}"
            f"{p['crysdiff_fmax']:9.4f}  "
            f"{p['crysdiff_steps']:5d}  {verdict}{_fall(p)}{_doubt(p)}"
        )

    head = f"{'name':{width}}  " if width else ""
    head += f"eV/atom    {'± eV/atom   ' if is_said else ''}{column}{'  ' if judge else ''}"
    return wide_table(structures, f"{head}fmax eV/Å  steps  verdict", cells)


def _name(structure: Structure) -> str:
    return str(structure.properties.get("crysdiff_source", ""))[-_LONGEST_NAME:]


def _spread(properties: Mapping[str, Any]) -> str:
    """The expected error of an energy; empty where the potential does not say."""
    value = properties.get(UNCERTAINTY)
    return " " * 12 if value is None else f"{value:10.3f}  "


def _doubt(properties: Mapping[str, Any]) -> str:
    """Says that a crystal is outside of what a potential knows, the first or the second."""
    return "".join(
        f"; {properties[name]}" for name in (DOUBT, JUDGE_REMARK) if properties.get(name)
    )


def _fall(properties: Mapping[str, Any]) -> str:
    """Says that a crystal has left its symmetry when it was released."""
    if properties.get("crysdiff_kept_symmetry", True):
        return ""
    return f"; left {properties['crysdiff_first_space_group']}"
