"""The symmetry of a structure in its own cell, found after it has been refined."""

import warnings
from dataclasses import dataclass

import numpy as np
import spglib
from pymatgen.core import Structure

from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.operations import Floats, Operations
from ase_crysdiff.symmetry.refinement import EXACT, SYMMETRY_ERRORS, analyser_of, symmetrise


@dataclass(frozen=True)
class Symmetry:
    """A structure as its space group wants it, and the operations of that group in its own cell.

    Args:
        structure: In the setting, the orientation and the order of the given one; exact to
            rounding. The given one itself if no symmetry is known.
        operations: The identity alone if no symmetry is known.
        number: Of the space group; None if none is known, which is not to say that it is 1.
        symbol: Short symbol; None if no group is known.
        reason: Why no symmetry is known; None if one is.
    """

    structure: Structure
    operations: Operations
    number: int | None = None
    symbol: str | None = None
    reason: str | None = None


def operations_of(structure: Structure, symprec: float = 0.1, fixed_cell: bool = False) -> Symmetry:
    """Refines a structure within a tolerance, then finds its operations.

    Operations that are found at a loose tolerance form no group: some take two atoms to one. So the
    structure is first moved to where its group wants it, and its operations are those that it has
    exactly. A cell of several primitive ones may lack some of the group's.

    Args:
        structure: Ordered; site properties stay.
        symprec: Tolerance, Å.
        fixed_cell: Whether the cell must stay as it is.
    """
    problem = gate(structure)
    if problem is not None:
        return _unknown(structure, f"the structure is not sound: {problem}")
    try:
        refined = symmetrise(structure, symprec, fixed_cell)
        operations, number = _exact_operations(refined)
    except InputError as error:
        return _unknown(structure, str(error))
    # The idealised positions are those of a standard cell, brought back: a last average takes
    # away what rounding and the tolerance of spglib have left.
    rows = refined.lattice.matrix
    exact = Structure(
        rows if fixed_cell else operations.symmetrise_lattice(rows),
        refined.species,
        operations.symmetrise_positions(refined.frac_coords),
        site_properties=structure.site_properties,
        properties=structure.properties,
        labels=structure.labels,
    )
    return Symmetry(exact, operations, number, str(refined.properties["crysdiff_space_group"]))


def symbol_of(operations: Operations, lattice: Floats) -> str:
    """Short symbol of the space group of some operations; empty where spglib knows none.

    Args:
        operations: A group.
        lattice: Rows of the cell, Å.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = spglib.get_spacegroup_type_from_symmetry(
                operations.rotations, operations.translations, lattice, EXACT
            )
    except SYMMETRY_ERRORS:
        return ""
    return "" if found is None else str(found.international_short)


def _exact_operations(refined: Structure) -> tuple[Operations, int]:
    """The group of operations of a structure that has its symmetry exactly, and its number.

    Raises:
        InputError: If what is found is no group.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = analyser_of(refined, EXACT).get_symmetry_dataset()
    except SYMMETRY_ERRORS as error:
        raise InputError(f"no symmetry was found within {EXACT} Å") from error
    kinds = {species: k for k, species in enumerate(dict.fromkeys(refined.species))}
    operations = Operations.of(
        dataset.rotations,
        dataset.translations,
        refined.frac_coords,
        np.array([kinds[species] for species in refined.species]),
        refined.lattice.matrix,
        tolerance=2 * EXACT,
    )
    operations.check()
    return operations, int(dataset.number)


def _unknown(structure: Structure, reason: str) -> Symmetry:
    return Symmetry(structure, Operations.identity(len(structure)), reason=reason)
