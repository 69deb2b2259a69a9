"""Phonon frequencies against another potential."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Parity,
    Row,
    Section,
    Values,
    mean,
    mean_size,
    single,
)
from ase_crysdiff.campaigns.benchmark.potentials.crystals import Crystals
from ase_crysdiff.campaigns.benchmark.potentials.matcalc_import import phonopy, quiet
from ase_crysdiff.campaigns.versions import versions
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.relaxation.structures import configurations, relax
from ase_crysdiff.storage import Store

#: Repeats of the cell along its axes.
_REPEATS = 2
#: Displacement of one atom, Å.
_DISTANCE = 0.01
#: Atoms of a cell, and displacements that its symmetry leaves to be computed, at most.
_ATOMS, _DISPLACEMENTS = 4, 4
#: Crystals relax, with their symmetry, to forces of so many eV/Å.
_FMAX, _STEPS = 2e-3, 500
#: Tolerance at which phonopy finds the symmetry, Å: that of numbers in files.
_SYMPREC = 1e-3
#: Frequencies below this in the reference are not compared, THz: of the whole crystal moving, and
#: of modes on the verge of instability, whose relative errors mean nothing.
_LEAST = 0.5
#: A squared frequency below that of this one, negative, is an unstable mode, THz.
_UNSTABLE = -0.1


class Phonons(Section):
    """Frequencies at all points of the Brillouin zone that a cell repeated twice along each axis
    holds exactly, whatever the range of the interactions; each potential relaxes the crystal first.

    Forces become frequencies by phonopy (A. Togo, J. Phys. Soc. Jpn. 92, 012001 (2023)).

    Args:
        crystals: The file.
        count: Crystals, evenly spread among those whose cells are small and symmetric.

    Raises:
        MissingExtraError: If phonopy is not installed.
    """

    name, title, compares = "phonons", "phonon frequencies", True

    def __init__(self, crystals: Crystals, count: int) -> None:
        phonopy()
        self.crystals, self.count = crystals, count
        self.unusable = crystals.unusable
        self.settings = {
            **crystals.described,
            "repeats": _REPEATS,
            "distance": _DISTANCE,
            "fmax": _FMAX,
            **versions(("phonopy",)),
        }

    def items(self, folder: Store) -> list[Item]:
        return [Item(self.crystals.key(i), structure) for i, structure in self._chosen()]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        return single(lambda structure: frequencies(structure, contender.potential), given)

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        ours, theirs = _pairs(found.values, reference.values)
        relative = (100 * (ours / theirs - 1)).tolist()
        unstable = [np.min(value) < _UNSTABLE for value in found.values.values()]
        modes = [np.sum(np.array(value) < _UNSTABLE) for value in found.values.values()]
        return [
            Row("frequencies, mean |error|", "%", mean_size(relative)),
            Row("frequencies, mean error", "%", mean(relative)),
            Row("frequencies, mean |error|", "THz", mean_size((ours - theirs).tolist())),
            Row(f"imaginary modes beyond {-_UNSTABLE:g} THz", "1", int(sum(modes))),
            Row("crystals with such modes", "1", int(sum(unstable))),
            Row("crystals", "1", len(found.values.keys() & reference.values.keys())),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        ours, theirs = _pairs(found.values, reference.values)
        return [Parity("frequency", "THz", theirs.tolist(), ours.tolist(), "the reference")]

    def _chosen(self) -> Iterator[tuple[int, Structure]]:
        """Small symmetric crystals: the first from each of so many equal stretches of the file."""
        structures = self.crystals.structures
        small = [(i, s) for i, s in enumerate(structures) if s is not None and len(s) <= _ATOMS]
        for part in np.array_split(np.arange(len(small)), self.count):
            few = (small[k] for k in part if len(_displaced(small[k][1])[1]) <= _DISPLACEMENTS)
            yield from [one for one in [next(few, None)] if one is not None]


def frequencies(structure: Structure, potential: Potential) -> list[list[float]]:
    """Frequencies of a crystal at rest.

    Args:
        structure: Whose relaxation is started here, and whose cell is repeated.
        potential: Asked.

    Returns:
        THz, ascending, for each commensurate point; imaginary ones are negative.

    Raises:
        InputError: If the crystal does not come to rest, or the potential has no forces.
    """
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    (result,) = relax(
        [structure], potential, fmax=_FMAX, steps=_STEPS, symmetric=True, progress=False
    )
    if not result.converged or result.structure is None:
        raise InputError(f"The crystal did not come to rest: {result.reason or 'too many steps'}.")
    calculation, displaced = _displaced(result.structure)
    calculation.forces = _forces(displaced, potential)
    with quiet():
        calculation.produce_force_constants()
        calculation.run_qpoints(get_commensurate_points(calculation.supercell_matrix))
    found: list[list[float]] = np.sort(calculation.qpoints.frequencies, axis=1).round(5).tolist()
    return found


def _displaced(structure: Structure) -> tuple[Any, list[Structure]]:
    """Phonopy's calculation, and the repeated cells whose forces it needs."""
    from pymatgen.io.phonopy import get_phonopy_structure, get_pmg_structure

    bare = Structure(structure.lattice, structure.species, structure.frac_coords)
    with quiet():
        calculation = phonopy().Phonopy(
            get_phonopy_structure(bare),
            np.eye(3) * _REPEATS,
            primitive_matrix="P",
            symprec=_SYMPREC,
        )
        calculation.generate_displacements(distance=_DISTANCE)
        cells = [get_pmg_structure(cell) for cell in calculation.supercells_with_displacements]
    return calculation, cells


def _forces(structures: Sequence[Structure], potential: Potential) -> NDArray[np.float64]:
    """eV/Å, shape (structures, atoms, 3).

    Raises:
        InputError: If the potential has none; the message says why.
    """
    found = evaluate_each(potential, configurations(structures))
    if found.failures:
        raise InputError(next(iter(found.failures.values())))
    if not torch.isfinite(found.forces).all():
        raise InputError(f"{potential.name} gave forces that are not finite.")
    return found.forces.double().cpu().numpy().reshape(len(structures), -1, 3)


def _pairs(
    found: Mapping[str, Any], reference: Mapping[str, Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies of both potentials, mode by mode in the order of their size at each point, where
    the reference has a frequency worth comparing.
    """
    both = [key for key in found if key in reference]
    ours, theirs = (
        np.concatenate([np.zeros(0), *(np.ravel(values[key]) for key in both)])
        for values in (found, reference)
    )
    compared = theirs > _LEAST
    return ours[compared], theirs[compared]
