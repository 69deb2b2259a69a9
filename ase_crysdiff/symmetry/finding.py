"""From a structure to its scaffold and its free numbers."""

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import spglib
from pymatgen.core import Structure

from ase_crysdiff import arguments
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.scaffold import Scaffold, Site
from ase_crysdiff.symmetry.tables import Floats, Ints, space_group

#: Tolerance in Å at which an idealised crystal is looked at again: only then do the operations of a
#: loose tolerance form a group.
_REFINED = 1e-4
#: An atom of an idealised crystal lies on a position if it is no farther from it, Å.
_ON_SITE = 2e-4


def find_scaffold(structure: Structure, symprec: float = 0.1) -> Scaffold:
    """The space group of a structure and the Wyckoff positions of its elements.

    Args:
        structure: Ordered and periodic.
        symprec: Tolerance in Å; 0.1 suits relaxed and published structures.

    Returns:
        The scaffold in its canonical description: equal for structures of one kind, whatever their
        cell, origin and orientation. `str` of it reads back with `Scaffold.parse`.

    Raises:
        InputError: If the structure is not sound, or no space group is found; its symmetry is
            unknown then, not P1.
    """
    return find_symmetric(structure, symprec).scaffold.canonical()


def find_symmetric(structure: Structure, symprec: float = 0.1) -> SymmetricCrystal:
    """A structure in the primitive standard cell of its space group, idealised.

    Args:
        structure: Ordered and periodic.
        symprec: Tolerance, Å.

    Raises:
        InputError: If the structure is not sound, or no space group is found.
    """
    problem = gate(structure)
    if problem is not None or not structure.is_ordered:
        raise InputError(f"No symmetry can be found: {problem or 'the structure is disordered'}.")
    return find_in_cell(
        structure.lattice.matrix,
        structure.frac_coords,
        np.array([site.specie.Z for site in structure]),
        symprec,
    )


def find_in_cell(
    lattice: Floats, frac_coords: Floats, species: Ints, symprec: float = 0.1
) -> SymmetricCrystal:
    """`find_symmetric` of plain arrays, which must have passed the gate.

    Args:
        lattice: Rows in Å, shape (3, 3).
        frac_coords: Shape (atoms, 3).
        species: Atomic numbers, shape (atoms,).
        symprec: Tolerance, Å.

    Raises:
        InputError: If no space group is found.
    """
    found = _idealised((lattice, frac_coords, species), float(arguments.symprec(symprec) or 0.1))
    group = space_group(int(found.number))
    _, first = np.unique(found.std_mapping_to_primitive, return_index=True)
    primitive = group.primitive
    places = np.array(found.std_positions)[first] @ np.linalg.inv(primitive)
    cell = primitive @ np.array(found.std_lattice)
    return _on_sites(group.number, cell, places % 1.0, np.array(found.std_types, np.int64)[first])


def _idealised(cell: tuple[Floats, Floats, Ints], symprec: float) -> Any:
    """What spglib says of the idealised crystal, in the standard setting of these tables."""
    for tolerance in (symprec, symprec / 10):
        loose = _dataset(cell, tolerance)
        if loose is None:
            continue
        ideal = (loose.std_lattice, loose.std_positions, loose.std_types)
        for strict in (_REFINED, 10 * _REFINED):
            hall = space_group(int(loose.number)).hall_number
            found = _dataset(ideal, strict, hall)
            if found is not None and found.number == loose.number:
                return found
    raise InputError(f"No space group was found within {symprec} Å: the symmetry is unknown.")


def _dataset(cell: Any, symprec: float, hall_number: int = 0) -> Any:
    errors = getattr(spglib, "SpglibError", RuntimeError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return spglib.get_symmetry_dataset(cell, symprec, hall_number=hall_number)
    except errors:
        return None


@dataclass(frozen=True)
class _Images:
    """All points of all positions of a group: which position each belongs to, and the map from a
    point in the cell to coordinates along the position's subspace and across it.
    """

    position: Ints
    origins: Floats
    inward: Floats
    across: Floats


@cache
def _images(number: int) -> _Images:
    positions = space_group(number).positions
    index, origins, inward, across = [], [], [], []
    for i, position in enumerate(positions):
        frames = position.rotations @ position.frame
        index += [i] * len(frames)
        origins.append(position.offsets)
        inward.append(np.linalg.inv(frames))
        kept = np.arange(3) >= position.free
        across.append(frames * kept.astype(float))
    return _Images(
        np.array(index), np.concatenate(origins), np.concatenate(inward), np.concatenate(across)
    )


def _on_sites(number: int, lattice: Floats, places: Floats, species: Ints) -> SymmetricCrystal:
    """The crystal with each orbit on the first position that it lies on.

    Of the points of an orbit that may be its anchor, the one with the least free numbers is.
    """
    images, positions = _images(number), space_group(number).positions
    along = np.einsum("kij,akj->aki", images.inward, places[:, None] - images.origins)
    away = np.einsum("kij,akj->aki", images.across, along - np.rint(along)) @ lattice
    on = np.linalg.norm(away, axis=-1) < _ON_SITE
    placed = np.zeros(len(places), bool)
    sites: list[tuple[Site, Floats]] = []
    for atom in range(len(places)):
        if placed[atom]:
            continue
        position = positions[images.position[on[atom].argmax()]]
        choices = on[atom] & (images.position == positions.index(position))
        numbers = along[atom, choices, : position.free] % 1.0
        numbers[numbers > 1 - 1e-6] = 0.0
        order = np.lexsort(np.round(numbers, 5).T[::-1]) if position.free else [0]
        orbit = _members(position.points(numbers[order[0]]), places, lattice)
        if placed[orbit].any() or (species[orbit] != species[atom]).any():
            raise InputError("No space group was found: the orbits of the atoms contradict it.")
        placed[orbit] = True
        sites.append(((int(species[atom]), position.letter), numbers[order[0]]))
    # Equal sites follow their free numbers.
    return SymmetricCrystal.of_sites(
        number, lattice, sorted(sites, key=lambda pair: pair[1].tolist())
    )


def _members(points: Floats, places: Floats, lattice: Floats) -> Ints:
    """The atoms at the points of an orbit, one for each."""
    away = points[:, None] - places[None]
    away -= np.rint(away)
    distances = np.linalg.norm(away @ lattice, axis=-1)
    nearest = distances.argmin(1)
    far = distances[np.arange(len(points)), nearest].max() > 10 * _ON_SITE
    if far or len(set(nearest.tolist())) < len(points):
        raise InputError("No space group was found: the orbits of the atoms contradict it.")
    return nearest
