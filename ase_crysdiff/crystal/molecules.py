"""Molecule ↔ CrystalBatch ↔ Atoms: molecules stand in batches as `crystal.molecule_space` says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core import Element, Molecule

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError

#: Farthest that a hydrogen may be from the heavy atom that it is on, Å.
LONGEST = 1.5


def to_molecules(
    batch: CrystalBatch, properties: Sequence[Mapping[str, Any]] | None = None
) -> list[Molecule]:
    """Molecules with their atoms in the order of the rows.

    Args:
        batch: Molecules.
        properties: `Molecule.properties` of each.
    """
    counts = batch.num_atoms.tolist()
    parts = zip(batch.species.split(counts), batch.frac_coords.split(counts), strict=True)
    return [
        Molecule(
            [Element.from_Z(int(z)) for z in species],
            positions.double().cpu().numpy(),
            properties=None if properties is None else dict(properties[k]),
        )
        for k, (species, positions) in enumerate(parts)
    ]


def to_frame(molecule: Molecule) -> Atoms:
    """ASE atoms without a cell, with the properties in `info`."""
    numbers = [site.specie.Z for site in molecule]
    return Atoms(numbers, molecule.cart_coords, info=dict(molecule.properties or {}))


def atoms_of_molecule(given: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Atomic numbers and places (Å) of a molecule or of ASE atoms without a periodic cell.

    Raises:
        InputError: If it is neither, has no atoms, is periodic, charged or disordered, or a place
            is not finite.
    """
    if isinstance(given, Atoms):
        if given.pbc.any():
            raise InputError(
                "The atoms are periodic, and a molecule is not. Set atoms.pbc = False if the cell "
                "means nothing."
            )
        numbers, places = given.numbers, given.positions
    elif isinstance(given, Molecule):
        if given.charge:
            raise InputError(
                f"The molecule has a charge of {given.charge:+g}; only neutral ones can be used."
            )
        if not given.is_ordered:
            raise InputError("The molecule is disordered; only ordered ones can be used.")
        numbers, places = [site.specie.Z for site in given], given.cart_coords
    else:
        raise InputError(
            f"A pymatgen Molecule or ASE Atoms are needed, got {type(given).__name__}."
        )
    species = np.array(numbers, dtype=np.int64)
    positions = np.array(places, dtype=np.float64).reshape(-1, 3)
    if not len(species):
        raise InputError("The molecule has no atoms.")
    if not np.isfinite(positions).all():
        raise InputError("A place of the molecule is not finite.")
    return species, positions


def group_order(species: NDArray[Any], positions: NDArray[Any]) -> list[int] | None:
    """Rows of a molecule group by group: each heavy atom, then the hydrogens next to it.

    Args:
        species: Atomic numbers.
        positions: Å.

    Returns:
        None where there is no heavy atom, or a hydrogen is on none.
    """
    heavy, hydrogens = np.flatnonzero(species > 1), np.flatnonzero(species == 1)
    if not len(heavy):
        return None
    if not len(hydrogens):
        return [int(i) for i in heavy]
    distances = np.linalg.norm(positions[hydrogens, None] - positions[None, heavy], axis=-1)
    if distances.min(1).max() > LONGEST:
        return None
    owner = distances.argmin(1)
    order: list[int] = []
    for place, atom in enumerate(heavy):
        order += [int(atom), *map(int, hydrogens[owner == place])]
    return order
