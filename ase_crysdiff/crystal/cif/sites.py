"""The listed sites of a CIF block: element, occupancy, coordinates and how exact they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Species

from ase_crysdiff.crystal.cif import elements
from ase_crysdiff.crystal.cif.contents import Statement
from ase_crysdiff.crystal.cif.numbers import Number, coordinate, number
from ase_crysdiff.crystal.cif.text import Block, Value
from ase_crysdiff.crystal.convert import ROLE
from ase_crysdiff.crystal.decorations import FULL
from ase_crysdiff.errors import InputError

#: Occupancies up to this are full, too, and with an uncertainty up to three of it.
_OVERFULL = 1.01
#: Coordinates are believed to be exact to one in the second digit, even if none has two.
_COARSEST = 0.01
_COORDINATES = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_MOMENTS = tuple(f"_atom_site_moment_crystalaxis_{axis}" for axis in "xyz")


@dataclass(frozen=True)
class Site:
    """One listed site.

    Args:
        label: Its name.
        species: The element, with its oxidation state if the file gives those.
        occupancy: Above 0 to 1.
        frac_coords: Shape (3,).
        units: What one in the last written digit of each coordinate stands for, shape (3,).
        multiplicity: Equivalent sites in the cell, if the file says so.
        properties: Of the site: its role, its magnetic moment.
    """

    label: str
    species: Element | Species
    occupancy: float
    frac_coords: NDArray[np.float64]
    units: NDArray[np.float64]
    multiplicity: int | None = None
    properties: dict[str, Any] = field(default_factory=dict)


def sites_of(block: Block, statement: Statement | None) -> list[Site]:
    """The listed sites, without dummies and empty ones.

    Args:
        block: With a loop of sites.
        statement: What the file says of its contents.

    Raises:
        InputError: If a site has no element, no coordinates or an impossible occupancy, or hydrogen
            atoms are mentioned that are not listed.
    """
    columns = [block.column(tag) for tag in _COORDINATES]
    if any(c is None for c in columns):
        raise InputError("The sites have no fractional coordinates (_atom_site_fract_x, y, z).")
    count = len(columns[0] or ())
    named = block.column("_atom_site_label") or block.column("_atom_site_type_symbol")
    labels = [label or str(i) for i, label in enumerate(named or [None] * count)]
    species = _species(block, labels, statement)
    real = [flag != "dum" for flag in block.column("_atom_site_calc_flag") or [None] * count]
    occupancies = block.column("_atom_site_occupancy") or [None] * count
    multiplicities = _multiplicities(block, count)
    properties = _properties(block, labels)
    rows = [
        [
            coordinate(value, f"Coordinate {axis} of site {label}")
            for axis, value in zip("xyz", row, strict=True)
        ]
        for label, row in zip(labels, zip(*columns, strict=True), strict=True)
    ]
    finest = min([_COARSEST, *(x.unit for row in rows for x in row if x.unit)])
    found = []
    for i, label in enumerate(labels):
        occupancy = _occupancy(occupancies[i], label)
        if not real[i] or occupancy == 0:
            continue
        found.append(
            Site(
                label,
                species[i],
                occupancy,
                np.array([x.value for x in rows[i]]),
                np.array([_unit(x, finest) for x in rows[i]]),
                multiplicities[i],
                properties[i],
            )
        )
    if not found:
        raise InputError("its loop of sites holds none that is occupied")
    _check_hydrogen(block, found, statement)
    return found


def _species(
    block: Block, labels: Sequence[str], statement: Statement | None
) -> list[Element | Species]:
    types = block.column("_atom_site_type_symbol")
    if types is None or None in types:
        types = None
        found = elements.of_labels(labels, None if statement is None else statement.amounts)
    else:
        found = [elements.of_type(str(symbol)) for symbol in types]
    symbols, states = (
        block.column(tag) for tag in ("_atom_type_symbol", "_atom_type_oxidation_number")
    )
    if symbols is None or states is None:
        return list(found)
    known = {
        s: number(state, f"The oxidation state of {s}").value
        for s, state in zip(symbols, states, strict=False)
        if state is not None
    }
    decorated: list[Element | Species] = []
    for i, element in enumerate(found):
        state = known.get(str(types[i]) if types else None, known.get(element.symbol))
        decorated.append(element if state is None else Species(element.symbol, state))
    return decorated


def _unit(place: Number, finest: float) -> float:
    """What one in the last digit of a coordinate stands for. Files leave out zeros at the end, so
    for multiples of an eighth, which short numbers write exactly, it is that of the longest number.
    """
    return finest if place.value * 8 % 1 == 0 else min(place.unit, _COARSEST)


def _occupancy(text: Value, label: str) -> float:
    """An occupancy; unknown ones are 1, as the dictionary of CIF says."""
    if text is None:
        return 1.0
    found = number(text, f"The occupancy of site {label}")
    if not 0 <= found.value <= max(_OVERFULL, 1 + 3 * found.uncertainty):
        raise InputError(
            f"Site {label} has the occupancy {text}; expected 0 to 1. Sites that several "
            "elements share are listed once for each of them."
        )
    return 1.0 if found.value > FULL else found.value


def _multiplicities(block: Block, count: int) -> list[int | None]:
    column = block.column(
        "_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity"
    )
    digits = ["".join(c for c in text or "" if c.isdigit()) for text in column or [None] * count]
    return [int(d) if d else None for d in digits]


def _properties(block: Block, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Roles of sites of filled hosts, which we write, and moments along the cell vectors."""
    found: list[dict[str, Any]] = [{} for _ in labels]
    for i, role in enumerate(block.column(f"_atom_site_{ROLE}") or ()):
        found[i][ROLE] = role
    named = block.column("_atom_site_moment_label")
    if named is not None:
        columns = [block.column(tag) or [] for tag in _MOMENTS]
        moments = {
            label: [number(value, f"The moment of {label}").value for value in values]
            for label, *values in zip(named, *columns, strict=False)
        }
        for i, label in enumerate(labels):
            found[i]["magmom"] = moments.get(label, [0.0] * 3)
    return found


def _check_hydrogen(block: Block, sites: Sequence[Site], statement: Statement | None) -> None:
    """Where there is a formula, it shows which atoms are missing."""
    if statement is not None or any(site.species.Z == 1 for site in sites):
        return
    attached = block.column("_atom_site_attached_hydrogens") or []
    named = [site.label for site in sites if elements.is_hydrous(site.label)]
    if named or any(h not in (None, "0") for h in attached):
        raise InputError(
            f"Site {named[0] if named else sites[0].label} stands for hydrogen atoms, too, and "
            "none are listed. Add their coordinates; without them this is another compound."
        )
