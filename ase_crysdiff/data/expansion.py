"""Crystals blown up until their atoms are free: labels between what a teacher knows and what has
been measured.

Potentials trained on crystals near their volume, the teachers as well, know nothing of bonds that
break; the energy of free atoms above the elements is in every table of heats of formation. Between
the two, energies of expanded crystals follow one curve, E = E_free - E_c (1 + a) e^-a, with the
cohesive energy E_c and a = (s - 1)/λ of the linear expansion s. λ is taken from a copy of another
volume that a teacher has labelled.

Source: Rose, Smith, Guinea, Ferrante, Phys. Rev. B 29, 2963 (1984), universal features of the
equation of state of metals; for salts and molecules it is an interpolation between two right ends.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from ase_crysdiff.data.label_sources import Arrays, joined, rows_of
from ase_crysdiff.data.perturbations import Perturbation

#: Where the last interaction of a network may end, Å: copies are expanded up to there.
_FARTHEST = 6.0
#: From here on the teachers' own labels end.
_NEAREST = 1.13
#: Changes of length that tell λ: small enough for a teacher, large enough to be told from noise.
_TELLING = (0.03, 0.125)
#: λ that solids have; a copy that gives another one was no mere change of volume.
_SOLIDS = (0.05, 0.4)
#: Images on each side of a cell among which the shortest distance is looked for.
_IMAGES = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)

FreeAtoms = Mapping[int, float]


def binding(a: float) -> float:
    """The universal curve: 1 at its top at 0, towards 0 for large a."""
    return (1 + a) * math.exp(-a)


def length_scales(arrays: Arrays, free_atoms: FreeAtoms) -> dict[str, float]:
    """λ of crystals of which an unperturbed configuration and a copy of another volume are there.

    Args:
        arrays: Of a level.
        free_atoms: Energy of the free atom of each element there, eV, by atomic number.
    """
    crystals = {c.name: c for c in _crystals(arrays, Perturbation.UNPERTURBED, free_atoms)}
    found: dict[str, float] = {}
    for copy in _crystals(arrays, Perturbation.VOLUME, free_atoms):
        crystal = crystals.get(copy.name)
        if crystal is None or crystal.cohesion <= 0:
            continue
        strain = (copy.volume / crystal.volume) ** (1 / 3) - 1
        lost = 1 - copy.cohesion / crystal.cohesion
        if not _TELLING[0] < abs(strain) < _TELLING[1] or not 0 < lost < 0.9:
            continue
        ends = (0.0, 20.0) if strain > 0 else (-5.0, 0.0)
        a = brentq(lambda a, lost=lost: 1 - binding(a) - lost, *ends)
        if _SOLIDS[0] < strain / a < _SOLIDS[1]:
            found[copy.name] = strain / a
    return found


def expanded(
    arrays: Arrays,
    scales: Mapping[str, float],
    free_atoms: FreeAtoms,
    copies: int,
    rng: np.random.Generator,
) -> Arrays:
    """Expanded copies of the unperturbed crystals of a level.

    Args:
        arrays: Of the level.
        scales: λ by name of the crystal; others are left out.
        free_atoms: Energy of the free atom of each element at this level, eV, by atomic number;
            crystals with others are left out.
        copies: Of each crystal, from 1.13 times its lengths to where no atom sees another.
        rng: Source of the expansions.

    Returns:
        Arrays in the layout of labels; forces and stress are NaN.
    """
    parts: list[Arrays] = []
    for crystal in _crystals(arrays, Perturbation.UNPERTURBED, free_atoms):
        shortest = _shortest(crystal)
        if crystal.name not in scales or crystal.cohesion <= 0 or shortest * _NEAREST > _FARTHEST:
            continue
        logs = rng.uniform(math.log(_NEAREST), math.log(_FARTHEST / shortest), copies)
        for factor in np.exp(logs).tolist():
            bound = binding((factor - 1) / scales[crystal.name])
            parts.append(_copy(crystal, factor, crystal.free - crystal.cohesion * bound))
    return joined(parts) if parts else rows_of(arrays, np.zeros(len(arrays["kind"]), dtype=bool))


@dataclass(frozen=True)
class _Labelled:
    """A configuration with its energy, and that of its free atoms, eV/atom."""

    name: str
    lattice: np.ndarray
    frac_coords: np.ndarray
    species: np.ndarray
    energy: float
    free: float

    @property
    def cohesion(self) -> float:
        return self.free - self.energy

    @property
    def volume(self) -> float:
        return abs(float(np.linalg.det(self.lattice.astype(np.float64))))


def _crystals(arrays: Arrays, kind: Perturbation, free_atoms: FreeAtoms) -> Iterator[_Labelled]:
    counts = arrays["num_atoms"].astype(np.int64)
    starts = counts.cumsum() - counts
    for row in np.flatnonzero(arrays["kind"] == kind).tolist():
        atoms = slice(starts[row], starts[row] + counts[row])
        species = arrays["atomic_numbers"][atoms].astype(np.int64)
        if not set(species.tolist()) <= set(free_atoms):
            continue
        yield _Labelled(
            str(arrays["material_id"][row]),
            arrays["lattice"][row],
            arrays["frac_coords"][atoms],
            species,
            float(arrays["energy_per_atom"][row]),
            float(np.mean([free_atoms[z] for z in species.tolist()])),
        )


def _shortest(crystal: _Labelled) -> float:
    """Shortest distance between two atoms or images, Å."""
    steps = crystal.frac_coords[None] - crystal.frac_coords[:, None]
    steps = (steps - np.round(steps))[..., None, :] + _IMAGES
    square = ((steps @ crystal.lattice) ** 2).sum(-1)
    return float(np.sqrt(square[square > 1e-4].min()))


def _copy(crystal: _Labelled, factor: float, energy: float) -> Arrays:
    atoms, unknown = len(crystal.species), math.nan
    return {
        "material_id": np.array([crystal.name]),
        "kind": np.array([Perturbation.EXPANDED.value]),
        "num_atoms": np.array([atoms]),
        "lattice": crystal.lattice[None] * factor,
        "energy_per_atom": np.array([energy]),
        "stress": np.full((1, 3, 3), unknown),
        "frac_coords": crystal.frac_coords,
        "atomic_numbers": crystal.species,
        "forces": np.full((atoms, 3), unknown),
    }
