"""Neighbours of a given crystal: what `StructureSampler.vary` asks for, and the way back to the
user's cell.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff import arguments
from ase_crysdiff.conditions.named import Conditions, conditions_of
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import as_structure, check_structure
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.vary import Vary
from ase_crysdiff.symmetry.operations import stretch_to
from ase_crysdiff.symmetry.own_cell import Symmetry, operations_of
from pymatgen_ext.cells import CellMap
from pymatgen_ext.requests import element_constraints


@dataclass(frozen=True)
class SeedCell:
    """The way back from a crystal drawn near a seed to the seed's setting, orientation and order of
    sites.

    Args:
        given: Rows of the seed's cell, Å.
        matrix: Rows of the seed's cell as whole-number combinations of the Niggli rows.
        species: Atomic numbers of the rows that the sampler started from.
        order: Site of the seed that each of these rows was.
        symbol: Space group that is kept; None if none is.
    """

    given: NDArray[np.float64]
    matrix: NDArray[np.int64]
    species: tuple[int, ...]
    order: tuple[int, ...]
    symbol: str | None = None

    def structure(self, crystal: CrystalBatch, properties: Mapping[str, Any]) -> Structure:
        """A crystal, a batch of one in the Niggli setting, as a structure in the seed's.

        Where the sampler has kept the species, sites stand in the seed's order; else by Mendeleev
        number.
        """
        inverse = np.linalg.inv(self.matrix)
        rows = crystal.lattice[0].double().numpy()
        # The drawn cell has lost its orientation; it becomes the seed's, deformed without a
        # rotation.
        lattice = Lattice(self.given @ stretch_to(inverse @ self.given, rows @ rows.T))
        places = crystal.frac_coords.double().numpy() @ inverse % 1.0
        kinds = crystal.species.tolist()
        same = tuple(kinds) == self.species
        order = np.argsort(self.order) if same else np.arange(len(kinds))
        species = [Element.from_Z(kinds[i]) for i in order]
        kept = {} if self.symbol is None else {"crysdiff_space_group": self.symbol}
        structure = Structure(lattice, species, places[order], properties={**properties, **kept})
        return (
            structure
            if same
            else structure.get_sorted_structure(key=lambda site: site.specie.mendeleev_no)
        )


def prepare(
    check: Callable[[SampleRequest], None],
    structure: Structure | Atoms,
    strength: float,
    *,
    chemical_system: str | Iterable[str] | None = None,
    elements: str | Iterable[str] | None = None,
    num_atoms: int | None = None,
    keep_symmetry: bool = False,
    conditions: Conditions = (),
    steps: int | None = None,
) -> tuple[SampleRequest, SeedCell]:
    """The keywords of `StructureSampler.vary`, parsed and checked, and the way back to the
    structure's cell.

    Args:
        check: Of the sampler: raises if it cannot serve a request.
        structure: The seed, ordered and periodic.
        strength: Time to which it is noised, above 0 and at most 1.
        chemical_system: Exactly these elements, each present.
        elements: Only these elements may occur.
        num_atoms: Atoms per cell.
        keep_symmetry: Whether the seed is refined and its space group kept.
        conditions: Further conditions.
        steps: Steps of the plan.

    Raises:
        IncompatibleError: If the sampler cannot serve the request.
        InputError: If an argument cannot be used.
    """
    operations = None
    if keep_symmetry:
        symmetry = _symmetry(_checked(structure))
        crystal, cell = _seed(symmetry.structure)
        change = np.linalg.inv(cell.matrix)
        operations = symmetry.operations.in_basis(np.rint(change)).in_order(cell.order)
        cell = replace(cell, symbol=symmetry.symbol)
    else:
        crystal, cell = _seed(structure)
    constraints = element_constraints(chemical_system, elements, num_atoms)
    time = arguments.strength(strength)
    task = Vary(**constraints, crystal=crystal, time=time, operations=operations)
    request = SampleRequest(task, conditions=conditions_of(conditions), steps=steps)
    check(request)
    return request, cell


def _seed(structure: Structure | Atoms) -> tuple[CrystalBatch, SeedCell]:
    """The seed in the setting and orientation of the training data, atoms sorted by element, and
    the way back.
    """
    structure = _checked(structure)
    cell = CellMap.of(structure.lattice)
    numbers = [int(site.specie.Z) for site in structure]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    niggli = Lattice.from_parameters(*cell.niggli.parameters)
    crystal = CrystalBatch(
        torch.tensor(np.array(niggli.matrix)[None], dtype=torch.float32),
        torch.tensor((structure.frac_coords @ cell.matrix % 1.0)[order], dtype=torch.float32),
        torch.tensor([numbers[i] for i in order], dtype=torch.long),
        torch.tensor([len(order)]),
    )
    return crystal, SeedCell(
        np.array(structure.lattice.matrix),
        cell.matrix,
        tuple(crystal.species.tolist()),
        tuple(order),
    )


def _symmetry(structure: Structure) -> Symmetry:
    """The seed as its space group wants it, and its operations.

    Raises:
        InputError: If no space group is found.
    """
    found = operations_of(structure)
    if found.number is None:
        raise InputError(
            f"{structure.composition.formula} has no symmetry that could be kept: {found.reason}."
        )
    return found


def _checked(structure: Structure | Atoms) -> Structure:
    """The seed as a structure.

    Raises:
        InputError: If it is none, or not sound.
    """
    if not isinstance(structure, Structure | Atoms):
        raise InputError(
            f"vary needs a pymatgen Structure or ASE Atoms, got {type(structure).__name__}."
        )
    structure = as_structure(structure)
    check_structure(structure)
    problem = gate(structure)
    if problem is not None:
        raise InputError(f"{structure.composition.formula} cannot be varied: {problem}.")
    return structure
