"""What is kept of a finished set: symmetrised, ranked by energy, without duplicates."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.metrics.validity import gate
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.relaxation.evaluation import evaluate_each
from pymatgen_ext import parsing
from pymatgen_ext.relaxation import PotentialLike, as_potential, configurations
from pymatgen_ext.sample_set import SampleSet

#: A symmetrised structure must have its space group at this tolerance, Å.
_EXACT = 1e-3
#: Atoms that a potential sees at once.
_MAX_ATOMS = 2000


@dataclass(frozen=True)
class Selection:
    """How a set was refined; part of the report.

    Args:
        potential: Name of the potential that ranked the set.
        unranked: Reason by index, for structures that it refused; they stand last.
        duplicates: By index, the better structure that made it superfluous was kept instead.
        symprec: Tolerance of the symmetrisation, Å.
        unsymmetrised: Reason by index, for structures that were left as they were.
    """

    potential: str | None = None
    unranked: Mapping[int, str] = field(default_factory=dict)
    duplicates: tuple[int, ...] = ()
    symprec: float | None = None
    unsymmetrised: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refinement:
    """What is done to a finished set: symmetrised, then ranked by energy per atom, then without duplicates.

    Args:
        potential: The lowest of its energies comes first; None ranks nothing.
        distinct: Whether to keep only the first structure of each class that `uniqueness` finds.
        symprec: Tolerance in Å within which atoms and cell move to where the symmetry wants them; None moves nothing.
        fixed_cell: Whether the cell must stay; then only atoms move.
    """

    potential: Potential | None = None
    distinct: bool = False
    symprec: float | None = None
    fixed_cell: bool = False

    @staticmethod
    def of(
        potential: "PotentialLike | None" = None, distinct: bool = False, symprec: float | None = None, fixed_cell: bool = False
    ) -> "Refinement":
        """The keywords of `StructureSampler.sample`, checked; potentials are loaded here, before anything is drawn.

        Raises:
            InputError: If a keyword makes no sense.
            UnknownNameError: If there is no potential of that name.
        """
        if not isinstance(distinct, bool):
            raise InputError(f"distinct must be True or False, got {distinct!r}.")
        tolerance = parsing.symprec(symprec)
        return Refinement(None if potential is None else as_potential(potential), distinct, tolerance, fixed_cell)

    def __bool__(self) -> bool:
        return self.potential is not None or self.distinct or self.symprec is not None

    def __call__(self, samples: SampleSet) -> SampleSet:
        """The refined set; the properties `crysdiff_energy_per_atom` (eV/atom), `crysdiff_symprec` and `crysdiff_space_group` say
        what was found, `crysdiff_index` stays the number of the draw, and the report tells what became of the others.
        """
        if not self:
            return samples
        structures, found = list(samples), Selection(symprec=self.symprec)
        if self.symprec is not None:
            structures, reasons = _symmetrised(structures, self.symprec, self.fixed_cell)
            found = replace(found, unsymmetrised=reasons)
        if self.potential is not None:
            structures, reasons = rank(structures, self.potential)
            found = replace(found, potential=self.potential.name, unranked=reasons)
        if self.distinct and structures:
            kept = uniqueness(structures).per_structure
            # What no matcher may see cannot be called the same as anything else.
            stays = [bool(first) or gate(s) is not None for s, first in zip(structures, kept, strict=True)]
            lost = sorted(_index(s) for s, stay in zip(structures, stays, strict=True) if not stay)
            structures = [s for s, stay in zip(structures, stays, strict=True) if stay]
            found = replace(found, duplicates=tuple(lost))
        return SampleSet(structures, replace(samples.report, made=len(structures), selection=vars(found)))


def rank(structures: Sequence[Structure], potential: Potential) -> tuple[list[Structure], dict[int, str]]:
    """Structures by energy per atom, and the reason by index for those without one, which come last in their order."""
    energies: list[float] = []
    reasons: dict[int, str] = {}
    for batch in _batches(structures):
        evaluation = evaluate_each(potential, configurations(batch))
        for k, structure in enumerate(batch):
            energy = float(evaluation.energy[k]) / len(structure)
            if k in evaluation.failures or not np.isfinite(energy):
                reasons[_index(structure)] = evaluation.failures.get(k, f"{potential.name} gave no finite energy.")
                energy = np.inf
            energies.append(energy)
    order = sorted(range(len(structures)), key=lambda i: energies[i])
    ranked = []
    for i in order:
        more = {} if np.isinf(energies[i]) else {"crysdiff_energy_per_atom": energies[i]}
        ranked.append(structures[i].copy(properties={**structures[i].properties, **more}))
    return ranked, reasons


def symmetrise(structure: Structure, symprec: float, fixed_cell: bool = False, angle_tolerance: float = 5.0) -> Structure:
    """The structure as its space group wants it, in the same cell with the same atoms.

    Cell and atoms are those of spglib's idealised standard cell, brought back by its transformation. So the setting, the
    orientation, the number and the order of atoms stay, which a standardised cell would change.

    Args:
        structure: Ordered structure.
        symprec: Tolerance, Å.
        fixed_cell: Whether the cell must stay as it is.
        angle_tolerance: Degrees.

    Raises:
        InputError: If no symmetry can be found or the result does not have it; the structure is better left alone then.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            analyser = SpacegroupAnalyzer(structure, symprec=symprec, angle_tolerance=angle_tolerance)
            dataset = analyser.get_symmetry_dataset()
            number, symbol = int(dataset.number), str(dataset.international)
    except Exception as error:  # spglib finds nothing, in several ways
        raise InputError(f"no symmetry was found within {symprec} Å ({type(error).__name__})") from error
    matrix = structure.lattice.matrix
    # Vectors of the cell are whole, half or third combinations of those of the standard cell.
    change = np.round(np.array(dataset.transformation_matrix) * 6) / 6
    ideal = change.T @ np.array(dataset.std_lattice)
    stretch = stretch_to(matrix, ideal @ ideal.T)
    if fixed_cell and np.abs(stretch - np.eye(3)).max() > 1e-6:
        raise InputError(f"the given cell lacks the symmetry {symbol} that its atoms have")
    lattice = Lattice(matrix if fixed_cell else matrix @ stretch)
    places = _idealised(structure.frac_coords, change, dataset, symprec)
    properties = {**structure.properties, "crysdiff_symprec": symprec, "crysdiff_space_group": symbol}
    result = Structure(lattice, structure.species, places % 1.0, site_properties=structure.site_properties, properties=properties)
    problem = gate(result)
    if problem is not None:
        raise InputError(f"symmetrising gives no sound structure: {problem}")
    _, reached = space_group(result, _EXACT)
    if reached != number:
        raise InputError(f"the idealised structure has space group {reached}, not {number} ({symbol})")
    return result


def space_group(structure: Structure, symprec: float = 0.1, angle_tolerance: float = 5.0) -> tuple[str, int]:
    """Symbol and number of the space group, found by spglib within a tolerance in Å and degrees."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analyser = SpacegroupAnalyzer(structure, symprec=symprec, angle_tolerance=angle_tolerance)
        return analyser.get_space_group_symbol(), analyser.get_space_group_number()


def stretch_to(matrix: NDArray[np.float64], gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric S for which the rows of matrix @ S have the scalar products `gram`: the deformation without a rotation."""
    inverse = np.linalg.inv(matrix)
    values, vectors = np.linalg.eigh(inverse @ gram @ inverse.T)
    stretch: NDArray[np.float64] = (vectors * np.sqrt(values)) @ vectors.T
    return stretch


def _idealised(
    frac_coords: NDArray[np.float64], change: NDArray[np.float64], dataset: Any, symprec: float
) -> NDArray[np.float64]:
    """Each atom at the nearest place of an equivalent atom of the standard cell, which is shifted to lie as close as it can."""
    standard, ideal = frac_coords @ change.T, np.array(dataset.std_positions)
    same = np.array(dataset.mapping_to_primitive)[:, None] == np.array(dataset.std_mapping_to_primitive)[None]
    rows = np.arange(len(standard))
    best, least = np.zeros_like(standard), np.inf
    for place in ideal[same[0]]:  # any of them may be the first atom: the origin that spglib reports is one of several
        away = standard[:, None] - ideal[None] - (standard[0] - place)
        away -= np.round(away)
        distance = np.where(same, np.linalg.norm(away @ np.array(dataset.std_lattice), axis=-1), np.inf)
        nearest = distance.argmin(1)
        moves = away[rows, nearest] - away[rows, nearest].mean(0)
        size = float(np.linalg.norm(moves @ np.array(dataset.std_lattice), axis=-1).max())
        if size < least:
            best, least = moves, size
    if not least <= 3 * symprec:
        raise InputError(f"an atom would move by {least:.2g} Å")
    moved: NDArray[np.float64] = (standard - best) @ np.linalg.inv(change).T
    return moved


def _symmetrised(structures: Sequence[Structure], symprec: float, fixed_cell: bool) -> tuple[list[Structure], dict[int, str]]:
    found, reasons = [], {}
    for structure in structures:
        try:
            found.append(symmetrise(structure, symprec, fixed_cell))
        except InputError as error:
            found.append(structure)
            reasons[_index(structure)] = str(error)
    return found, reasons


def _batches(structures: Sequence[Structure]) -> list[list[Structure]]:
    batches: list[list[Structure]] = []
    atoms = _MAX_ATOMS
    for structure in structures:
        if atoms + len(structure) > _MAX_ATOMS:
            batches.append([])
            atoms = 0
        batches[-1].append(structure)
        atoms += len(structure)
    return batches


def _index(structure: Structure) -> int:
    return int(structure.properties.get("crysdiff_index", -1))
