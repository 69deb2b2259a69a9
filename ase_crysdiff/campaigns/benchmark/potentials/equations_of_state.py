"""Lattice constants and bulk moduli of textbook solids."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.eos import EquationOfState
from ase.units import GPa
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
from ase_crysdiff.campaigns.benchmark.potentials.crystals import energies
from ase_crysdiff.campaigns.benchmark.potentials.solids import Solid, solids
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.storage import Store

#: Volumes of one curve, over that in its middle.
_SCALES = np.linspace(0.94, 1.06, 9)
#: The middle of a curve whose minimum is as near to it, as a share of the volume, stays.
_CENTERED = 0.01
_ROUNDS = 12


class EquationsOfState(Section):
    """Solids against PBE, which potentials here are trained on, and against experiment."""

    name, title = "solids", "equations of state of solids"

    def __init__(self) -> None:
        self.solids = {solid.formula: solid for solid in solids()}
        self.settings = {"scales": _SCALES.tolist()}

    def items(self, folder: Store) -> list[Item]:
        return [Item(formula, solid) for formula, solid in self.solids.items()]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        return single(lambda solid: equation_of_state(solid, contender.potential), given)

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        lengths, moduli = self._pairs(found.values)
        percent = [100 * (a / b - 1) for a, b in lengths]
        pressure = [a - b for a, b in moduli]
        measured = [
            100 * (value["lattice_constant"] / self.solids[key].measured_lattice_constant - 1)
            for key, value in found.values.items()
        ]
        return [
            Row("lattice constant against PBE, mean |error|", "%", mean_size(percent)),
            Row("lattice constant against PBE, mean error", "%", mean(percent)),
            Row("lattice constant against experiment, mean |error|", "%", mean_size(measured)),
            Row("bulk modulus against PBE, mean |error|", "GPa", mean_size(pressure)),
            Row("bulk modulus against PBE, mean error", "GPa", mean(pressure)),
            Row("solids", "1", len(found.values)),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        lengths, moduli = self._pairs(found.values)
        return [
            Parity(name, unit, [b for _, b in pairs], [a for a, _ in pairs], "PBE")
            for name, unit, pairs in (
                ("lattice constant", "Å", lengths),
                ("bulk modulus", "GPa", moduli),
            )
        ]

    def _pairs(
        self, found: Mapping[str, Any]
    ) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Lattice constants in Å and bulk moduli in GPa: found, and with PBE."""
        solids = [(value, self.solids[key]) for key, value in found.items()]
        return (
            [(value["lattice_constant"], solid.lattice_constant) for value, solid in solids],
            [(value["bulk_modulus"], solid.bulk_modulus) for value, solid in solids],
        )


def equation_of_state(solid: Solid, potential: Potential) -> dict[str, float]:
    """Where the energy is lowest, and how fast it rises.

    A curve of nine volumes, of ±6 %, is moved until its minimum lies in its middle.

    Args:
        solid: Its structure, and where the search begins.
        potential: Asked.

    Returns:
        `lattice_constant` in Å and `bulk_modulus` in GPa, by Birch and Murnaghan's equation of the
        third order.

    Raises:
        InputError: If the potential has no energy, or no minimum is found.
    """
    primitive = solid.structure()
    center = primitive.volume
    share = solid.lattice_constant**3 / center
    for _ in range(_ROUNDS):
        volumes = center * _SCALES
        energy = energies(potential, [_scaled(primitive, float(volume)) for volume in volumes])
        lowest = int(energy.argmin())
        if lowest in (0, len(volumes) - 1):
            center = float(volumes[lowest])
            continue
        fit = EquationOfState(volumes, energy, eos="birchmurnaghan")
        volume, _, modulus = fit.fit(warn=False)
        if abs(volume / center - 1) < _CENTERED:
            length = float(np.cbrt(share * volume))
            return {"lattice_constant": length, "bulk_modulus": float(modulus / GPa)}
        center = float(np.clip(volume, volumes[0], volumes[-1]))
    raise InputError(
        f"{potential.name} has no minimum of {solid.formula}: the last curve lay about a lattice "
        f"constant of {np.cbrt(share * center):.3g} Å, PBE has {solid.lattice_constant} Å."
    )


def _scaled(structure: Structure, volume: float) -> Structure:
    scaled = structure.copy()
    scaled.scale_lattice(volume)
    return scaled
