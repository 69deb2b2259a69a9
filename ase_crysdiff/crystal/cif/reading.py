"""A crystal from a CIF block: the one reading of its symmetry that agrees with its cell, its
formula and its number of formula units.

A file may list operators, name a group, or both; lists break off, names leave the origin open,
programs write the operators of another setting. Every way to read the symmetry is a candidate, and
a candidate that contradicts anything else in the file is dropped. One that is left is the crystal;
if several different ones are, or none, the file is refused with what speaks against each.
"""

import logging

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.cif.contents import FORMULA, Statement
from ase_crysdiff.crystal.cif.expansion import expand, multiplicities
from ase_crysdiff.crystal.cif.numbers import number
from ase_crysdiff.crystal.cif.operators import Operators
from ase_crysdiff.crystal.cif.origin import origin_of
from ase_crysdiff.crystal.cif.settings import settings_of, tabulated, unique_axis
from ase_crysdiff.crystal.cif.sites import Site, sites_of
from ase_crysdiff.crystal.cif.text import Block, blocks_of
from ase_crysdiff.crystal.soundness import unphysical, unusable_species
from ase_crysdiff.errors import InputError

log = logging.getLogger(__name__)

_LISTS = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_operation_xyz_",
    "_symmetry_equiv_pos_as_xyz_",
)
_MAGNETIC = "_space_group_symop_magn_operation_xyz"
_CENTRING = "_space_group_symop_magn_centering_xyz"
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_SYMBOLS = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_symmetry_space_group_name_h-m_full",
    "_symmetry_space_group_name_h-m_alt",
)
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
#: Misfits that differ by less are equal.
_AS_WELL = 0.05
#: Sites of two readings that are the same lie within this distance, Å.
_EQUAL = 0.05


def structure_from_cif(text: str) -> Structure:
    """The first crystal of a CIF text.

    Raises:
        InputError: If there is none, or the text contradicts itself; the message says how.
    """
    try:
        blocks = crystal_blocks(text)
        if blocks:
            return structure_of(blocks[0])
    except InputError as error:
        raise InputError(f"unreadable CIF: {error}") from error
    empty = "no data block has a loop of sites" if blocks_of(text) else "there are no data"
    raise InputError(f"unreadable CIF, no crystal in it: {empty}")


def crystal_blocks(text: str) -> list[Block]:
    """The data blocks that hold a crystal; others hold a publication, a diffraction pattern, ..."""
    return [b for b in blocks_of(text) if b.has("_atom_site_fract_x", "_atom_site_label")]


def structure_of(block: Block) -> Structure:
    """The crystal of a data block.

    A formula that cannot be read is named in a warning of the logger of this module: the contents
    are then not compared with it.

    Raises:
        InputError: If a part of it cannot be read, or no reading or several agree with the rest.
    """
    cell = _cell(block)
    statement = Statement.of(block)
    sites = sites_of(block, statement)
    found: list[tuple[Structure, Operators]] = []
    against: list[str] = []
    candidates, reasons = _candidates(block, cell)
    for operators in candidates:
        reason = operators.distortion(cell) if operators.misfit(cell) > 1 else None
        try:
            structure = expand(cell, sites, operators) if reason is None else None
        except InputError as error:
            structure, reason = None, str(error)
        if structure is not None and statement is not None:
            contradiction = statement.contradiction(structure)
            reason = contradiction and f"with {operators.name}, {contradiction}"
        if structure is None or reason is not None:
            against.append(reason or "")
        elif not any(_same(structure, other) for other, _ in found):
            found.append((structure, operators))
    if not found:
        raise InputError("; ".join(dict.fromkeys(reasons + against)))
    if statement is None and (stated := block.value(FORMULA)) is not None:
        log.warning("The formula %r cannot be read, so the sites are not compared with it.", stated)
    structure = found[0][0] if len(found) == 1 else _decided(cell, sites, found)
    structure.properties |= origin_of(block)
    return structure


def _cell(block: Block) -> NDArray[np.float64]:
    """Rows in Å; angles that are not given are right ones, as the dictionary of CIF says."""
    lengths = [
        number(block.value(f"_cell_length_{axis}"), f"_cell_length_{axis}").value for axis in "abc"
    ]
    angles = [
        number(block.value(f"_cell_angle_{name}") or "90", f"_cell_angle_{name}").value
        for name in ("alpha", "beta", "gamma")
    ]
    cosines = np.cos(np.radians(angles))
    volume = 1 - (cosines**2).sum() + 2 * cosines.prod()
    if min(lengths) <= 0 or not all(0 < angle < 180 for angle in angles) or volume <= 0:
        written = " ".join(f"{x:g}" for x in (*lengths, *angles))
        kind = "a negative cell length: " if min(lengths) < 0 else ""
        raise InputError(f"{kind}no cell has the lengths (Å) and angles (degrees) {written}")
    return np.array(Lattice.from_parameters(*lengths, *angles).matrix)


def _candidates(block: Block, cell: NDArray[np.float64]) -> tuple[list[Operators], list[str]]:
    """Every way to read the symmetry, the best first, and what is wrong with others.

    Raises:
        InputError: If symmetry is named that nothing is known of, and no operators are listed.
    """
    listed, reasons = None, []
    texts = [t for t in block.column(*_LISTS, _MAGNETIC) or () if t is not None]
    if texts:
        centring = [t for t in block.column(_CENTRING) or () if t is not None]
        try:
            listed = Operators.parse(texts, f"the {len(texts)} listed operators", centring)
        except InputError as error:
            reasons.append(str(error))
    try:
        named, names = _named(block, cell)
    except InputError:  # names that contradict each other say nothing
        if listed is None:
            raise
        named, names = [], []
    if listed is None:
        if not names:
            return ([Operators.identity()], reasons) if not reasons else ([], reasons)
        if not named:
            reasons.append(
                f"The space group {' or '.join(names)} is in no table, and no operators are "
                "listed. Add the operators (_space_group_symop_operation_xyz)."
            )
        return named, reasons
    if not named or len(listed) in {len(operators) for operators in named}:
        return [listed], reasons
    return [listed, *named], reasons


def _named(block: Block, cell: NDArray[np.float64]) -> tuple[list[Operators], list[str]]:
    """Operators of the settings that the file names, and the names.

    Of settings with different unique axes, such as those of P 21/a, the ones that fit the cell best
    are meant, and axis b where they fit equally.
    """
    hall = block.value(*_HALL)
    symbols = list(dict.fromkeys(s for tag in _SYMBOLS if (s := block.value(tag)) is not None))
    text = block.value(*_NUMBERS)
    group = int(text) if text is not None and text.isdigit() and int(text) else None
    names = [repr(name) for name in (hall, *symbols) if name] + ([str(group)] if group else [])
    settings = settings_of(hall, symbols, group)
    misfits = {h: tabulated(h).misfit(cell) for h in settings}
    best = [h for h in settings if misfits[h] < min(misfits.values()) + _AS_WELL]
    axis_b = [h for h in best if unique_axis(h) == "b"]
    return [tabulated(h) for h in axis_b or best], names


def _decided(
    cell: NDArray[np.float64], sites: list[Site], found: list[tuple[Structure, Operators]]
) -> Structure:
    """Of several readings the one that is physical, and that stated multiplicities fit.

    Raises:
        InputError: If that leaves several.
    """
    stated = [site.multiplicity for site in sites]
    left = found
    if None not in stated:
        fitting = [f for f in found if multiplicities(cell, sites, f[1]) == stated]
        left = fitting or found
    physical = [f for f in left if unusable_species(f[0]) or unphysical(f[0]) is None]
    left = physical or left
    if len(left) == 1:
        return left[0][0]
    readings = "; ".join(f"{s.formula} with {operators.name}" for s, operators in left[:4])
    raise InputError(
        f"The file can be read in {len(left)} ways, and nothing in it tells which is meant: "
        f"{readings}. Add all operators (_space_group_symop_operation_xyz), or name the setting, "
        "as in 'F d -3 m :2'."
    )


def _same(first: Structure, second: Structure) -> bool:
    """Whether two readings are the same crystal in the same place."""
    if first.composition != second.composition or len(first) != len(second):
        return False
    away = first.frac_coords[:, None] - second.frac_coords[None]
    near = np.linalg.norm((away - np.rint(away)) @ first.lattice.matrix, axis=-1) < _EQUAL
    alike = np.array([[a.species == b.species for b in second] for a in first])
    return bool((near & alike).any(1).all())
