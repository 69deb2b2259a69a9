"""From a structure to its scaffold and its free numbers."""

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff import arguments
from ase_crysdiff.crystal.convert import as_structure
from ase_crysdiff.crystal.coordinates import frac_coords_of
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.scaffold import Scaffold, Site
from ase_crysdiff.symmetry.tables import Floats, Ints, space_group

#: Tolerance in Å that suits relaxed and published structures.
SYMPREC = 0.1
#: Tolerance in Å at which an idealised crystal is looked at again: only then do the operations of a
#: loose tolerance form a group.
_REFINED = 1e-4
#: An atom of an idealised crystal lies on a position if it is no farther from it, Å.
_ON_SITE = 2e-4
#: spglib's idealised crystal is idealised again, up to so many times, until it is exact.
_ROUNDS = 4

#: Rows in Å, fractional coordinates, atomic numbers.
_Cell = tuple[Floats, Floats, Ints]


@own_state()
def find_scaffold(structure: Structure | Atoms, symprec: float = SYMPREC) -> Scaffold:
    """The space group of a structure and the Wyckoff positions of its elements.

    Args:
        structure: Ordered and periodic along three axes; pymatgen's or ASE's.
        symprec: Tolerance in Å; 0.1 suits relaxed and published structures.

    Returns:
        The scaffold in its canonical description: equal for structures of one kind, whatever their
        cell, origin and orientation. `str` of it reads back with `Scaffold.parse`.

    Raises:
        InputError: If the structure is not sound, or no space group is found; its symmetry is
            unknown then, not P1.
    """
    return find_symmetric(structure, symprec).scaffold.canonical()


@own_state()
def find_symmetric(structure: Structure | Atoms, symprec: float = SYMPREC) -> SymmetricCrystal:
    """A structure in the primitive standard cell of its space group, idealised.

    Args:
        structure: Ordered and periodic along three axes; pymatgen's or ASE's.
        symprec: Tolerance, Å.

    Raises:
        InputError: If the structure is not sound, or no space group is found.
    """
    structure = as_structure(structure)
    problem = gate(structure)
    if problem is None and not all(structure.lattice.pbc):
        problem = f"periodic along {structure.lattice.pbc} only, three axes are needed"
    if problem is not None:
        raise InputError(f"No symmetry can be found: {problem}.")
    return find_in_cell(
        structure.lattice.matrix,
        frac_coords_of(structure),
        np.array([site.specie.Z for site in structure]),
        symprec,
    )


def find_in_cell(
    lattice: Floats, frac_coords: Floats, species: Ints, symprec: float = SYMPREC
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
    found = _idealised((lattice, frac_coords, species), arguments.symprec(symprec) or SYMPREC)
    return _on_sites(int(found.number), *_primitive(found))


def _idealised(cell: _Cell, symprec: float) -> Any:
    """What spglib says of the idealised crystal, in the standard setting of these tables."""
    for tolerance in (symprec, symprec / 10):
        loose = _dataset(cell, tolerance)
        number = loose and loose.number
        for _ in range(_ROUNDS):
            if loose is None or loose.number != number:
                break
            ideal = _primitive(loose)
            for strict in (_REFINED, 10 * _REFINED):
                found = _exact(ideal, int(number), strict)
                if found is not None:
                    return found
            loose = _dataset(ideal, tolerance)
    raise InputError(
        f"No space group was found within {symprec} Å: the symmetry is unknown, which does not "
        "mean P1. Give another symprec, or relax the structure first."
    )


def _primitive(found: Any) -> _Cell:
    """The standard cell that spglib found, with the atoms of a primitive one."""
    primitive = space_group(int(found.number)).primitive
    _, first = np.unique(found.std_mapping_to_primitive, return_index=True)
    places = np.array(found.std_positions)[first] @ np.linalg.inv(primitive)
    cell = primitive @ np.array(found.std_lattice)
    return cell, places % 1.0, np.array(found.std_types, np.int64)[first]


def _exact(ideal: _Cell, number: int, tolerance: float) -> Any:
    """What spglib says of a crystal if it has this group within a tight tolerance."""
    found = _dataset(ideal, tolerance)
    if found is None or found.number != number:
        return None
    hall = space_group(number).hall_number
    # Asked for a setting of a group that the crystal does not have, spglib searches for minutes.
    return found if found.hall_number == hall else _dataset(ideal, tolerance, hall)


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
