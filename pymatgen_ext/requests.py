"""From the keywords of `StructureSampler.sample` to a request."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pymatgen.core import Element, Lattice

from ase_crysdiff import arguments
from ase_crysdiff.conditions.named import Conditions, conditions_of
from ase_crysdiff.crystal.volume import formula_units_in
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.request import PrototypeWish, SampleRequest
from ase_crysdiff.sampling.tasks.assemble import Assemble
from ase_crysdiff.sampling.tasks.base import Task
from ase_crysdiff.sampling.tasks.csp import CSP, Amounts
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.settings import primitive_setting
from pymatgen_ext import parsing
from pymatgen_ext.blocks import BlocksLike, blocks_of
from pymatgen_ext.cells import CellMap
from pymatgen_ext.charge_balance import ChargeBalance
from pymatgen_ext.conventional import ConventionalCell


def sample_request(
    *,
    composition: parsing.Formula | None,
    formula_units: int | Iterable[int] | str,
    chemical_system: str | Iterable[str] | None,
    elements: str | Iterable[str] | None,
    num_atoms: int | None,
    lattice: Lattice | ArrayLike | None,
    space_group: int | str | None = None,
    prototype: parsing.PrototypeLike = None,
    known: bool | None = None,
    properties: Mapping[str, parsing.WishLike] | None = None,
    guidance_weight: float = 1.0,
    charge_balance: bool = False,
    building_blocks: BlocksLike | None = None,
    conditions: Conditions,
    steps: int | None,
) -> tuple[SampleRequest, CellMap | ConventionalCell | None]:
    """The keywords of `StructureSampler.sample` as a request, and the way back to a given cell.

    A composition makes it a prediction of structures, building blocks an assembly; else crystals
    are made from nothing.

    Args:
        composition: One formula unit.
        formula_units: Formula units per cell: a number, several, or "auto", which takes as many as
            a given cell has room for.
        chemical_system: Exactly these elements.
        elements: Only these elements.
        num_atoms: Atoms per cell.
        lattice: The cell, Å; with a centred space group the primitive or the conventional one.
        space_group: Number or short symbol.
        prototype: A structure, a scaffold or a text; False forbids any.
        known: Whether crystals of a library may be answers.
        properties: Wished numbers, windows, names or elements by name.
        guidance_weight: How much they count.
        charge_balance: Whether the charge must balance by known oxidation states.
        building_blocks: A framework to be cut, or molecules, which each cell holds all of.
        conditions: Further conditions on the sampling loop.
        steps: Steps of the time plan.

    Raises:
        InputError: If a keyword cannot be read, or two contradict each other.
    """
    if known not in (True, False, None):
        raise InputError(f"known must be True, False or None, got {known!r}.")
    given = None if lattice is None else CellMap.of(lattice)
    if formula_units != "auto" and composition is None:
        raise InputError("formula_units means nothing without a composition.")
    unit = None if composition is None else parsing.composition(composition)
    units = parsing.formula_units(formula_units)
    constraints = element_constraints(chemical_system, elements, num_atoms)
    group, wished = parsing.space_group(space_group), parsing.prototype(prototype)
    cell = None if given is None else _symmetric_cell(given, group, wished)
    if isinstance(cell, ConventionalCell):
        units, constraints["num_atoms"] = _per_lattice_point(cell, units, constraints["num_atoms"])
    task: Task = DeNovo(**constraints)
    if unit is not None:
        if cell is not None and units is None and constraints["num_atoms"] is None:
            units = _units_in(unit, cell)
        task = CSP(unit, units, constraints["num_atoms"])
    if building_blocks is not None:
        wishes = {
            "composition": composition,
            "space_group": space_group,
            "prototype": prototype,
            "properties": properties or None,
        }
        task = _assembly(
            building_blocks, {**wishes, **constraints, "charge_balance": charge_balance or None}
        )
    request = SampleRequest(
        task,
        lattice=None if cell is None else cell.niggli_rows,
        space_group=group,
        prototype=wished,
        known=known,
        properties=parsing.properties(properties),
        guidance_weight=guidance_weight,
        conditions=conditions_of(conditions),
        filters=(ChargeBalance(),) if charge_balance else (),
        steps=steps,
    )
    return request, cell


def _assembly(given: BlocksLike, wishes: Mapping[str, Any]) -> Assemble:
    """The assembly of blocks, which leave nothing else of the contents to be wished.

    Raises:
        InputError: If something is wished, or the blocks cannot be used.
    """
    others = [name for name, value in wishes.items() if value is not None]
    if others:
        raise InputError(
            f"Building blocks say what is in the cell, which leaves nothing for "
            f"{' and '.join(others)}. Give one of the two."
        )
    return Assemble((blocks_of(given),))


def _symmetric_cell(
    cell: CellMap, group: int | None, wished: PrototypeWish
) -> CellMap | ConventionalCell:
    """A given cell in the primitive standard setting of a wished space group, or as a conventional
    cell of it.

    Raises:
        InputError: If it is neither in any choice of its vectors.
    """
    if isinstance(wished, Prototype | Scaffold):
        group = wished.group
    if group is None:
        return cell
    try:
        return cell.in_setting(primitive_setting(group, np.array(cell.niggli.matrix)))
    except InputError:
        conventional = ConventionalCell.of(group, cell.given)
        if conventional is None:
            raise
        return conventional


def _per_lattice_point(
    cell: ConventionalCell, units: tuple[int, ...] | None, num_atoms: int | None
) -> tuple[tuple[int, ...] | None, int | None]:
    """Formula units and atoms of the primitive cell, where those of the given one are asked for."""
    return (
        None if units is None else tuple(cell.share("formula_units", n) for n in units),
        None if num_atoms is None else cell.share("num_atoms", num_atoms),
    )


def _units_in(unit: Amounts, cell: CellMap | ConventionalCell) -> tuple[int, ...] | None:
    """As many formula units as the cell that is drawn in has room for; None where nobody knows."""
    amounts = {Element.from_Z(z).symbol: count for z, count in unit}
    return formula_units_in(amounts, abs(float(np.linalg.det(cell.niggli_rows))))


def element_constraints(
    chemical_system: str | Iterable[str] | None,
    elements: str | Iterable[str] | None,
    num_atoms: int | None,
) -> dict[str, Any]:
    """What is wished of elements and number of atoms, as the fields of tasks.

    Args:
        chemical_system: Exactly these elements, such as "Li-Mn-O"; None for no wish.
        elements: Only these elements may occur; None for no wish.
        num_atoms: Atoms per cell; None for no wish.

    Raises:
        InputError: If a wish cannot be read.
    """
    return {
        "chemical_system": None
        if chemical_system is None
        else parsing.elements("chemical_system", chemical_system),
        "elements": None if elements is None else parsing.elements("elements", elements),
        "num_atoms": None if num_atoms is None else arguments.positive("num_atoms", num_atoms),
    }
