"""Potentials of matgl, behind a guard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ase.data import atomic_numbers

from ase_crysdiff.constants import GATE_DISTANCE
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations, Evaluation
from ase_crysdiff.potentials.from_calculator import CalculatorPotential
from ase_crysdiff.potentials.reference_energies import check_reference_energies

#: What PBE gives, roughly, eV/atom: enough to see weights that are read wrongly.
PBE = {"Si": -5.42, "NaCl": -3.39}
PBE_TOLERANCE = 0.3
#: What a folder of a matgl model holds.
_FILES = ("model.json", "model.pt", "state.pt")


class MatglPotential(CalculatorPotential):
    """A potential of matgl from a local folder, asked through its own calculator with the units of
    ASE.

    Weights written for matgl 2 are read by matgl 4 with little or no complaint, and some of them
    then give energies that are wrong by 0.7 to 3.6 eV/atom for everything but elements. So the
    energies of reference crystals are asked for first.

    Args:
        model: Folder of the weights, or a loaded `matgl.apps.pes.Potential`. Nothing is downloaded.
        reference_energies: eV/atom by the name of a reference crystal (see
            `potentials.reference_energies`), as the authors' code gives them. By default rough PBE
            energies of Si and NaCl, which fit potentials for that functional only.
        tolerance: eV/atom; 0.3 by default without `reference_energies` and 0.001 with them.

    Raises:
        InputError: If there is no such folder.
        CheckpointError: If the reference energies are not reproduced.
    """

    def __init__(
        self,
        model: str | Path | Any,
        reference_energies: Mapping[str, float | int] | None = None,
        tolerance: float | None = None,
    ) -> None:
        if isinstance(model, str | Path):
            absent = [name for name in _FILES if not (Path(model) / name).is_file()]
            if absent:  # matgl itself would look for them on the network
                raise InputError(
                    f"{model} is no folder of a matgl model: {', '.join(absent)} missing. Give a "
                    "folder that matgl wrote; names are not looked up on the network."
                )
        import matgl
        from matgl.ext.ase import PESCalculator

        name = f"matgl {Path(model).name}" if isinstance(model, str | Path) else "matgl"
        loaded = matgl.load_model(str(model)) if isinstance(model, str | Path) else model
        calculator = PESCalculator(loaded, stress_unit="eV/A3", use_voigt=True)
        elements = frozenset(atomic_numbers[symbol] for symbol in calculator.element_types)
        super().__init__(calculator, name=name, elements=elements, min_distance=GATE_DISTANCE)
        if tolerance is None:
            tolerance = PBE_TOLERANCE if reference_energies is None else 1e-3
        check_reference_energies(
            self, PBE if reference_energies is None else reference_energies, tolerance
        )

    def evaluate(self, configurations: Configurations) -> Evaluation:
        """Energies, forces and stresses.

        Raises:
            InputError: If a system is periodic along some axes but not all: matgl would take it for
                a molecule.
        """
        mixed = configurations.periodic.any(1) & ~configurations.periodic.all(1)
        if bool(mixed.any()):
            first = int(torch.nonzero(mixed)[0])
            raise InputError(
                f"matgl takes all axes as periodic or none; system {first} is periodic along "
                f"{configurations.periodic[first].tolist()}. Give it vacuum and pbc=True."
            )
        return super().evaluate(configurations)
