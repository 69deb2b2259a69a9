"""Any ASE calculator as a potential."""

from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.neighborlist import neighbor_list
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import callers_state
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential
from ase_crysdiff.potentials.checks import check
from ase_crysdiff.potentials.convert import to_atoms


class CalculatorPotential(Potential):
    """An ASE calculator, asked for one system after another. Energies are on the calculator's own
    scale.

    Args:
        calculator: Any ASE calculator instance with energy and forces. Without per-atom energies
            the total is spread evenly; without a stress it is NaN.
        name: Shown in reports; the calculator's own by default.
        elements: Atomic numbers that it knows. Calculators do not tell, so all that the package
            knows by default.
        min_distance: Systems with atoms closer than this fail, Å; for machine-learned potentials,
            which bind overlapping atoms.

    Raises:
        InputError: If `calculator` is no calculator, or a class instead of an instance.
    """

    dtype = torch.float64
    device = torch.device("cpu")

    def __init__(
        self,
        calculator: Any,
        name: str | None = None,
        elements: frozenset[int] | None = None,
        min_distance: float = 0.0,
    ) -> None:
        if isinstance(calculator, type) or not hasattr(calculator, "get_property"):
            raise InputError(
                f"An instance of an ASE calculator is needed, such as EMT(), not {calculator!r}."
            )
        self.calculator = calculator
        self.name = name or getattr(calculator, "name", None) or type(calculator).__name__.lower()
        self.elements = frozenset(range(1, NUM_SPECIES)) if elements is None else elements
        self.min_distance = min_distance

    def evaluate(self, configurations: Configurations) -> Evaluation:
        """Energies, forces and stresses; a system for which the calculator raises or returns NaN
        fails alone.
        """
        given = configurations.to(self.device, torch.float64)
        check(given, self.elements, self.name)
        parts, failures = [], {}
        for i, atoms in enumerate(to_atoms(given)):
            try:
                with callers_state():
                    parts.append(self._one(atoms))
            except Exception as error:  # whatever an engine raises concerns this system only
                failures[i] = (
                    str(error)
                    if isinstance(error, InputError)
                    else f"{self.name} failed: {type(error).__name__}: {error}"
                )
                parts.append(
                    (
                        np.full(len(atoms), np.nan),
                        np.full((len(atoms), 3), np.nan),
                        np.full((3, 3), np.nan),
                    )
                )
        energies = torch.from_numpy(np.concatenate([*(p[0] for p in parts), np.zeros(0)]))
        total = torch.zeros_like(given.cells[:, 0, 0]).index_add(0, given.index, energies)
        forces = torch.from_numpy(np.concatenate([*(p[1] for p in parts), np.zeros((0, 3))]))
        stress = torch.from_numpy(np.array([p[2] for p in parts]).reshape(-1, 3, 3))
        return Evaluation(energies, total, forces.to(self.dtype), stress.to(self.dtype), failures)

    def _one(
        self, atoms: Atoms
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Energies of the atoms, forces and stress of one system."""
        close = neighbor_list("d", atoms, self.min_distance) if self.min_distance else ()
        if len(close):
            raise InputError(
                f"Two atoms are {min(close):.3g} Å apart; {self.name} means nothing below "
                f"{self.min_distance} Å."
            )
        energy = float(self.calculator.get_property("energy", atoms))
        forces = np.array(self.calculator.get_property("forces", atoms), dtype=np.float64)
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise InputError(f"{self.name} gave an energy or a force that is not finite.")
        energies = self._optional("energies", atoms)
        if energies is None or not np.isclose(energies.sum(), energy, rtol=1e-5, atol=1e-5):
            energies = np.full(len(atoms), energy / len(atoms))
        else:
            energies = energies + (energy - energies.sum()) / len(
                atoms
            )  # single precision sums differ in the last digits
        stress = self._optional("stress", atoms) if atoms.pbc.all() else None
        if stress is None:
            stress = np.full((3, 3), np.nan)
        return (
            energies,
            forces,
            stress if stress.shape == (3, 3) else voigt_6_to_full_3x3_stress(stress),
        )

    def _optional(self, name: str, atoms: Atoms) -> NDArray[np.float64] | None:
        if name not in self.calculator.implemented_properties:
            return None
        try:
            return np.array(self.calculator.get_property(name, atoms), dtype=np.float64)
        except PropertyNotImplementedError:
            return None
