"""Formation energies and energies above a hull, from a potential."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import check_structure, structure_to_atoms
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.metrics.completeness import Completeness
from ase_crysdiff.metrics.energies import Energies
from ase_crysdiff.metrics.formulas import amounts
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.doubts import expected_errors
from ase_crysdiff.potentials.element_references import formation_energy
from ase_crysdiff.relaxation.evaluation import evaluate_each

#: Most atoms in one call of a potential; a larger crystal is a call of its own.
ATOMS_PER_CALL = 1024


@own_state()
def energies_per_atom(
    structures: Sequence[Structure | None], potential: Potential
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Energies of structures as they are, eV/atom, and why those that are NaN failed.

    Args:
        structures: None stands for a structure that could not be made.
        potential: Asked in batches of similar sizes; one bad structure does not touch the others.
    """
    found = np.full(len(structures), np.nan)
    atoms, failures = _usable(structures)
    for chosen in _calls({i: len(a) for i, a in atoms.items()}):
        answer = evaluate_each(potential, from_atoms([atoms[i] for i in chosen]), derivatives=False)
        counts = np.array([len(atoms[i]) for i in chosen])
        found[chosen] = answer.energy.double().cpu().numpy() / counts
        failures |= {chosen[k]: reason for k, reason in answer.failures.items()}
    for i in np.nonzero(~np.isfinite(found))[0].tolist():
        failures.setdefault(i, f"{potential.name} gave an energy that is not finite.")
        found[i] = np.nan
    return found, dict(sorted(failures.items()))


def doubts_of(
    structures: Sequence[Structure | None], potential: Potential, failures: Mapping[int, str]
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """How far the potential's energies of structures are to be believed: standard deviations of
    their errors, eV/atom, NaN where it does not say; and that it is outside of what it knows, by
    position.

    Args:
        structures: None stands for a structure that could not be made.
        potential: One that knows nothing of itself is not asked.
        failures: Reason by position, for those that have no energy.
    """
    found = np.full(len(structures), np.nan)
    told: dict[int, str] = {}
    if math.isnan(potential.uncertainty_limit):
        return found, told
    atoms = {i: a for i, a in _usable(structures)[0].items() if i not in failures}
    for chosen in _calls({i: len(a) for i, a in atoms.items()}):
        systems = from_atoms([atoms[i] for i in chosen])
        found[chosen], said = expected_errors(potential, systems)
        told |= {chosen[k]: reason for k, reason in said.items()}
    return found, dict(sorted(told.items()))


def _usable(structures: Sequence[Structure | None]) -> tuple[dict[int, Atoms], dict[int, str]]:
    """What a potential can be asked, by position, and why it cannot be asked the others."""
    atoms, failures = {}, {}
    for i, structure in enumerate(structures):
        try:
            if structure is None:
                raise InputError("There is no structure.")
            check_structure(structure)
            atoms[i] = structure_to_atoms(structure)
        except InputError as error:
            failures[i] = str(error)
    return atoms, failures


def formation_energies(
    structures: Sequence[Structure | None],
    potential: Potential,
    element_references: Mapping[str, float | int] | None = None,
) -> Energies:
    """Energies against the elements; nothing is relaxed.

    Args:
        structures: Ordered structures; None counts as a failure.
        potential: What gives total energies.
        element_references: Energy of each element, eV/atom, on the potential's scale; by default
            those stored with it.

    Raises:
        InputError: If there are neither references nor any stored with the potential.
    """
    references = element_references or {
        chemical_symbols[z]: energy for z, energy in potential.formation_references.items()
    }
    if not references:
        raise InputError(
            f"{potential.name} comes without reference energies of the elements. Give "
            "element_references; "
            "fit_element_references makes them from crystals with known formation energies."
        )
    energy, failures = energies_per_atom(structures, potential)
    formed = np.full(len(energy), np.nan)
    for i, structure in enumerate(structures):
        if structure is not None and i not in failures:
            try:
                formed[i] = formation_energy(
                    float(energy[i]), amounts(structure.composition), references
                )
            except InputError as error:
                failures[i] = str(error)
    nothing = np.full(len(energy), np.nan)
    settings = {"potential": potential.name, "element_references": dict(references)}
    uncertainty, told = doubts_of(structures, potential, failures)
    return Energies(
        energy,
        formed,
        nothing,
        nothing.copy(),
        np.zeros(len(energy), dtype=bool),
        dict(sorted(failures.items())),
        settings,
        told,
        uncertainty,
        told,
    )


def energies_above_hull(
    structures: Sequence[Structure | None],
    potential: Potential,
    hull: Hull,
    element_references: Mapping[str, float | int] | None = None,
) -> Energies:
    """Distances of structures, as they are, from a hull that they do not enter.

    On a hull of formation energies the potential's energies are referred to the elements first; on
    a hull of the potential's own total energies they are compared directly.

    Args:
        structures: Ordered structures; None counts as a failure.
        potential: What gives total energies.
        hull: Reference compounds.
        element_references: Energy of each element, eV/atom, on the potential's scale; by default
            those stored with it. Unused on a hull of total energies.

    Raises:
        InputError: If the hull needs references and there are none.
    """
    if hull.scale == "formation":
        base = formation_energies(structures, potential, element_references)
        own = base.formation_energy
    else:
        own, failed = energies_per_atom(structures, potential)
        nothing = np.full(len(own), np.nan)
        uncertainty, told = doubts_of(structures, potential, failed)
        base = Energies(
            own,
            nothing,
            nothing,
            nothing,
            np.zeros(len(own), dtype=bool),
            failed,
            {"potential": potential.name},
            uncertainty=uncertainty,
            doubts=told,
        )
    heights = np.full(len(own), np.nan)
    listed = np.zeros(len(own), dtype=bool)
    failures, remarks = dict(base.failures), dict(base.doubts)
    incomplete: dict[int, str] = {}
    complete = Completeness(hull)
    for i, structure in enumerate(structures):
        if structure is None or i in failures:
            continue
        try:
            heights[i] = hull.energy(structure.composition)
            listed[i] = hull.is_listed(structure.composition)
            remark = hull.remark(structure.composition, float(own[i] - heights[i]))
            if remark is not None:
                remarks[i] = "; ".join([remark, *([remarks[i]] if i in remarks else [])])
            objection = complete.objection(structure.composition)
            if objection is not None:
                incomplete[i] = objection
        except InputError as error:
            failures[i] = str(error)
    return Energies(
        base.energy,
        base.formation_energy,
        heights,
        own - heights,
        listed,
        dict(sorted(failures.items())),
        {**base.settings, **hull.settings},
        remarks,
        base.uncertainty,
        base.doubts,
        incomplete,
    )


def hull_of(
    structures: Sequence[Structure], potential: Potential, name: str = "structures"
) -> Hull:
    """The hull of structures on the potential's own scale: no reference energies and no corrections
    are needed.

    Args:
        structures: Relaxed with the potential, the elements among them.
        potential: What gives total energies.
        name: Of the hull, in settings of results.

    Raises:
        InputError: If the potential fails for one of them; the message says which.
    """
    energy, failures = energies_per_atom(structures, potential)
    if failures:
        first, reason = next(iter(failures.items()))
        raise InputError(
            f"{len(failures)} reference structures have no energy; number {first}: {reason}"
        )
    lowest: dict[str, float] = {}
    for structure, value in zip(structures, energy.tolist(), strict=True):
        formula = structure.composition.reduced_formula
        lowest[formula] = min(value, lowest.get(formula, np.inf))
    return Hull(lowest, scale="total", name=f"{name} with {potential.name}")


def _calls(sizes: Mapping[int, int]) -> list[list[int]]:
    """Positions grouped by similar size, each group small enough for one call."""
    calls: list[list[int]] = []
    atoms = 0
    for i in sorted(sizes, key=lambda i: sizes[i]):
        if not calls or atoms + sizes[i] > ATOMS_PER_CALL:
            calls.append([])
            atoms = 0
        calls[-1].append(i)
        atoms += sizes[i]
    return calls
