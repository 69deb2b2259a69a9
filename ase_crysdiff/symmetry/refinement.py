"""A structure as its space group wants it, in the cell that it came in."""

import warnings
from typing import Any

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

from ase_crysdiff.crystal.coordinates import frac_coords_of
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.operations import stretch_to

#: What pymatgen and spglib raise of a crystal in which they find no symmetry, by version.
SYMMETRY_ERRORS: tuple[type[Exception], ...] = (
    SymmetryUndeterminedError,
    getattr(spglib, "SpglibError", SymmetryUndeterminedError),
)
#: A symmetrised structure must have its space group at this tolerance, Å.
EXACT = 1e-3


def symmetrise(
    structure: Structure, symprec: float, fixed_cell: bool = False, angle_tolerance: float = 5.0
) -> Structure:
    """The structure as its space group wants it, in the same cell with the same atoms.

    Cell and atoms are those of spglib's idealised standard cell, brought back by its
    transformation. So the setting, the orientation, the number and the order of atoms stay, which a
    standardised cell would change.

    Args:
        structure: Ordered structure.
        symprec: Tolerance, Å.
        fixed_cell: Whether the cell must stay as it is.
        angle_tolerance: Degrees.

    Raises:
        InputError: If no symmetry can be found or the result does not have it; the structure is
            better left alone then.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            analyser = analyser_of(structure, symprec, angle_tolerance)
            dataset = analyser.get_symmetry_dataset()
            number, symbol = int(dataset.number), str(dataset.international)
    except SYMMETRY_ERRORS as error:
        raise InputError(
            f"no symmetry was found within {symprec} Å ({type(error).__name__})"
        ) from error
    matrix = structure.lattice.matrix
    # Vectors of the cell are whole, half or third combinations of those of the standard cell.
    change = np.round(np.array(dataset.transformation_matrix) * 6) / 6
    ideal = change.T @ np.array(dataset.std_lattice)
    stretch = stretch_to(matrix, ideal @ ideal.T)
    if fixed_cell and np.abs(stretch - np.eye(3)).max() > 1e-6:
        raise InputError(f"the given cell lacks the symmetry {symbol} that its atoms have")
    lattice = Lattice(matrix if fixed_cell else matrix @ stretch)
    places = _idealised(frac_coords_of(structure), change, dataset, symprec)
    properties = {
        **structure.properties,
        "crysdiff_symprec": symprec,
        "crysdiff_space_group": symbol,
    }
    result = Structure(
        lattice,
        structure.species,
        places % 1.0,
        site_properties=structure.site_properties,
        properties=properties,
    )
    problem = gate(result)
    if problem is not None:
        raise InputError(f"symmetrising gives no sound structure: {problem}")
    _, reached = space_group(result, EXACT)
    if reached != number:
        raise InputError(
            f"the idealised structure has space group {reached}, not {number} ({symbol})"
        )
    return result


def space_group(
    structure: Structure, symprec: float = 0.1, angle_tolerance: float = 5.0
) -> tuple[str, int]:
    """Symbol and number of the space group.

    Args:
        structure: One that passes the gate.
        symprec: Tolerance, Å.
        angle_tolerance: Tolerance, degrees.

    Raises:
        SymmetryUndeterminedError: If spglib finds none, or another of `SYMMETRY_ERRORS`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analyser = analyser_of(structure, symprec, angle_tolerance)
        return analyser.get_space_group_symbol(), analyser.get_space_group_number()


def conventional(structure: Structure, symprec: float = 0.1) -> Structure:
    """The conventional cell of the space group, as one is used to see it; the structure as it is
    where no symmetry is found.

    Args:
        structure: Ordered.
        symprec: Tolerance, Å.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return analyser_of(structure, symprec).get_conventional_standard_structure()
    except SYMMETRY_ERRORS:
        return structure


def analyser_of(
    structure: Structure, symprec: float, angle_tolerance: float = 5.0
) -> SpacegroupAnalyzer:
    """The analyser of species and places alone. pymatgen reads moments that are among the site
    properties, where they lower no symmetry here and may be anything.

    Args:
        structure: Ordered.
        symprec: Tolerance, Å.
        angle_tolerance: Tolerance, degrees.
    """
    bare = Structure(structure.lattice, structure.species, structure.frac_coords)
    return SpacegroupAnalyzer(bare, symprec=symprec, angle_tolerance=angle_tolerance)


def _idealised(
    frac_coords: NDArray[np.float64], change: NDArray[np.float64], dataset: Any, symprec: float
) -> NDArray[np.float64]:
    """Each atom at the nearest place of an equivalent atom of the standard cell, which is shifted
    to lie as close as it can.
    """
    standard, ideal = frac_coords @ change.T, np.array(dataset.std_positions)
    same = (
        np.array(dataset.mapping_to_primitive)[:, None]
        == np.array(dataset.std_mapping_to_primitive)[None]
    )
    rows = np.arange(len(standard))
    best, least = np.zeros_like(standard), np.inf
    for place in ideal[
        same[0]
    ]:  # any of them may be the first atom: the origin that spglib reports is one of several
        away = standard[:, None] - ideal[None] - (standard[0] - place)
        away -= np.round(away)
        distance = np.where(
            same, np.linalg.norm(away @ np.array(dataset.std_lattice), axis=-1), np.inf
        )
        nearest = distance.argmin(1)
        moves = away[rows, nearest] - away[rows, nearest].mean(0)
        size = float(np.linalg.norm(moves @ np.array(dataset.std_lattice), axis=-1).max())
        if size < least:
            best, least = moves, size
    if not least <= 3 * symprec:
        raise InputError(f"an atom would move by {least:.2g} Å")
    moved: NDArray[np.float64] = (standard - best) @ np.linalg.inv(change).T
    return moved
