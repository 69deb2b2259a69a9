"""Whether molecular dynamics keeps its energy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Row,
    Section,
    Values,
    largest,
    mean,
    single,
)
from ase_crysdiff.campaigns.benchmark.potentials.solids import Solid, solids
from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.storage import Store

#: A metal, a semiconductor, a salt and an oxide.
SOLIDS = ("Cu", "Si", "NaF", "MgO")
#: Temperature that half of the first kinetic energy amounts to, K; the rest becomes potential.
_KELVIN = 300.0
_FEMTOSECONDS = 1.0
#: Steps from one energy to the next.
_EVERY = 10
#: Share of a run that is left out: while half of the first kinetic energy becomes potential, the
#: error of the steps, and so the energy, settles once and for all.
_SETTLING = 0.2


class Dynamics(Section):
    """Drift of the total energy at constant volume: 2 x 2 x 2 cubic cells at 300 K, steps of 1 fs.

    Args:
        picoseconds: Of each run.
        seed: Of the velocities.
    """

    name, title = "dynamics", "molecular dynamics at constant energy"

    def __init__(self, picoseconds: float, seed: int) -> None:
        self.picoseconds, self.seed = picoseconds, seed
        self.settings = {"picoseconds": picoseconds, "seed": seed, "settling": _SETTLING}

    def items(self, folder: Store) -> list[Item]:
        return [Item(solid.formula, solid) for solid in solids() if solid.formula in SOLIDS]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        return single(lambda solid: self._drift(solid, contender.calculator), given)

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        drifts = [abs(drift) for drift in found.values.values()]
        return [
            Row("drift of the energy, mean", "eV/atom/ps", mean(drifts)),
            Row("drift of the energy, largest", "eV/atom/ps", largest(drifts)),
            Row("solids", "1", len(drifts)),
        ]

    def _drift(self, solid: Solid, calculator: Any) -> float:
        """Slope of the total energy, eV/atom/ps."""
        atoms = structure_to_atoms(solid.structure(conventional=True)).repeat(2)
        atoms.calc = calculator
        _thermalise(atoms, np.random.default_rng(self.seed))
        run = VelocityVerlet(atoms, timestep=_FEMTOSECONDS * units.fs)
        times, energies = [], []
        for step in range(0, round(1000 * self.picoseconds / _FEMTOSECONDS) + 1, _EVERY):
            if step:
                run.run(_EVERY)
            times.append(step * _FEMTOSECONDS / 1000)
            energies.append(atoms.get_total_energy() / len(atoms))
        start = round(_SETTLING * len(times))
        return float(np.polyfit(times[start:], energies[start:], 1)[0])


def _thermalise(atoms: Atoms, generator: np.random.Generator) -> None:
    """Momenta of Maxwell and Boltzmann at twice the temperature, without drift of the crystal."""
    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(masses) * generator.standard_normal((len(atoms), 3))
    momenta -= momenta.sum(0) * masses / masses.sum()
    atoms.set_momenta(momenta)
    wanted = 1.5 * (len(atoms) - 1) * units.kB * 2 * _KELVIN
    atoms.set_momenta(momenta * np.sqrt(wanted / atoms.get_kinetic_energy()))
