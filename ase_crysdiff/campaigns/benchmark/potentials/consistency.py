"""Whether forces and stresses are derivatives of the energy, and the energy that of the crystal,
whatever its cell and its orientation.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase.units import GPa
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Row,
    Section,
    Values,
    largest,
    single,
)
from ase_crysdiff.campaigns.benchmark.potentials.crystals import energies, moved
from ase_crysdiff.campaigns.benchmark.potentials.dynamics import SOLIDS
from ase_crysdiff.campaigns.benchmark.potentials.solids import solids
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.relaxation.structures import configurations
from ase_crysdiff.storage import Store

#: Steps of finite differences, Å and strain: wide, since many potentials compute in single
#: precision, with four points, so that the step's own error is of its fourth power.
_STEP, _STRAIN = 0.01, 0.005
_DIRECTIONS = 3
_ROWS = (
    ("forces against finite differences", "eV/Å"),
    ("stress against finite differences", "GPa"),
    ("energy in another cell", "eV/atom"),
    ("energy in another orientation", "eV/atom"),
    ("forces in another orientation", "eV/Å"),
)


class Consistency(Section):
    """Largest faults on moved and strained crystals of a few solids.

    Args:
        seed: Of the moves and directions.
    """

    name, title = "consistency", "consistency, largest error"

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.settings = {"seed": seed, "step": _STEP, "strain": _STRAIN}

    def items(self, folder: Store) -> list[Item]:
        generator = np.random.default_rng(self.seed)
        return [
            Item(solid.formula, moved(solid.structure() * (2, 1, 1), 0.05, 0.02, generator))
            for solid in solids()
            if solid.formula in SOLIDS
        ]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        return single(lambda structure: self._faults(structure, contender.potential), given)

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        return [
            Row(name, unit, largest([value[name] for value in found.values.values()]))
            for name, unit in _ROWS
        ]

    def _faults(self, structure: Structure, potential: Potential) -> dict[str, float]:
        generator = np.random.default_rng(self.seed)
        energy, forces, stress = _answer(potential, structure)
        found = [
            _force_fault(potential, structure, forces, generator),
            _stress_fault(potential, structure, stress),
        ]
        supercell = structure * (1, 2, 1)
        other, _, _ = _answer(potential, supercell)
        found.append(abs(other / len(supercell) - energy / len(structure)))
        turn, _ = np.linalg.qr(generator.standard_normal((3, 3)))
        turned = Structure(
            Lattice(structure.lattice.matrix @ turn), structure.species, structure.frac_coords
        )
        other, turned_forces, _ = _answer(potential, turned)
        found += [abs(other - energy) / len(structure), _worst(turned_forces - forces @ turn)]
        return {name: float(value) for (name, _), value in zip(_ROWS, found, strict=True)}


def _answer(
    potential: Potential, structure: Structure
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Energy in eV, forces in eV/Å and stress in eV/Å³."""
    found = potential.evaluate(configurations([structure]).to(potential.device, potential.dtype))
    if found.failures:
        raise ValueError(found.failures[0])
    return (
        float(found.energy[0]),
        found.forces.double().cpu().numpy(),
        found.stress[0].double().cpu().numpy(),
    )


def _force_fault(
    potential: Potential,
    structure: Structure,
    forces: NDArray[np.float64],
    generator: np.random.Generator,
) -> float:
    """Along random directions of unit length in the space of all atoms, eV/Å."""
    faults = []
    for _ in range(_DIRECTIONS):
        direction = generator.standard_normal(forces.shape)
        direction /= np.linalg.norm(direction)

        def along(step: float, direction: NDArray[np.float64] = direction) -> Structure:
            return Structure(
                structure.lattice,
                structure.species,
                structure.cart_coords + step * direction,
                coords_are_cartesian=True,
            )

        faults.append(abs(_slope(potential, along, _STEP) + (forces * direction).sum()))
    return max(faults)


def _stress_fault(potential: Potential, structure: Structure, stress: NDArray[np.float64]) -> float:
    """Of the six components, GPa."""
    faults = []
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        strain = np.zeros((3, 3))
        strain[i, j] += 0.5
        strain[j, i] += 0.5

        def along(step: float, strain: NDArray[np.float64] = strain) -> Structure:
            rows = structure.lattice.matrix @ (np.eye(3) + step * strain)
            return Structure(Lattice(rows), structure.species, structure.frac_coords)

        slope = _slope(potential, along, _STRAIN) / structure.volume
        faults.append(abs(slope - stress[i, j]))
    return max(faults) / GPa


def _slope(potential: Potential, along: Callable[[float], Structure], step: float) -> float:
    """Derivative of the total energy, by central differences of the fourth order."""
    down, low, high, up = energies(potential, [along(k * step) for k in (-2, -1, 1, 2)]).tolist()
    slope: float = (8 * (high - low) - (up - down)) / (12 * step)
    return slope


def _worst(difference: NDArray[np.float64]) -> float:
    return float(np.abs(difference).max())
