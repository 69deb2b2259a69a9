"""SevenNet as a potential, with the weights that its package brings: the teacher of `dao-p`."""

import contextlib
import io
import json
import warnings
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from ase_crysdiff.constants import GATE_DISTANCE
from ase_crysdiff.crystal.elements import atomic_number
from ase_crysdiff.errors import InputError, MissingExtraError
from ase_crysdiff.potentials.energy_corrections import correction_of
from ase_crysdiff.potentials.from_calculator import CalculatorPotential

#: Names of the weights in the package; the others that it knows would be downloaded.
WEIGHTS = ("0", "l3i5")
_REFERENCES = files("ase_crysdiff.resources") / "sevennet_references.json"


class SevenNetPotential(CalculatorPotential):
    """The universal potential SevenNet, asked through its own calculator; nothing is downloaded.

    Its networks learned plain energies of PBE and PBE+U. By default the corrections of the
    Materials Project are added by composition, the scale of the package's hulls and of CHGNet:
    peroxides are corrected as oxides unless their formula tells, since what a bond decides would
    make steps. Forces and stresses need nothing.

    Args:
        weights: `l3i5`, the better one, or `0`, several times faster.
        device: Where it computes.
        corrected: Whether to add the corrections; without them it gives the network's own energies.

    Raises:
        InputError: If the name of the weights is unknown.
        MissingExtraError: If sevenn is not installed.

    Source: Park et al., J. Chem. Theory Comput. 20, 4857 (2024); Kim et al. 2024 for l3i5.
    """

    dtype = torch.float32

    def __init__(
        self, weights: str = "l3i5", device: str | torch.device = "cpu", corrected: bool = True
    ) -> None:
        if weights not in WEIGHTS:
            raise InputError(f"SevenNet brings the weights {WEIGHTS}, not {weights!r}.")
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")  # of accelerators that are not installed
                from sevenn.calculator import SevenNetCalculator

                calculator: Any = SevenNetCalculator(f"7net-{weights}", device=str(device))
        except ImportError as error:
            raise MissingExtraError(
                "SevenNet needs its package: pip install 'ase-crysdiff[sevennet]'"
            ) from error
        elements = frozenset(int(number) for number in calculator.type_map)
        name = f"sevennet-{weights}"
        super().__init__(calculator, name, elements, min_distance=GATE_DISTANCE)
        self.is_corrected = corrected
        table = json.loads(_REFERENCES.read_text())
        known = table["energies"] if corrected and table["potential"] == name else {}
        self.formation_references = {atomic_number(s): float(e) for s, e in known.items()}

    def _one(
        self, atoms: Atoms
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Energies of the atoms, forces and stress of one system.

        Raises:
            InputError: If an atom has no neighbour: the network then gives its element's mean.
        """
        cutoff = float(self.calculator.cutoff)
        alone = np.bincount(neighbor_list("i", atoms, cutoff), minlength=len(atoms)) == 0
        if alone.any():
            raise InputError(
                f"Atom {int(np.flatnonzero(alone)[0])} has no neighbour within {cutoff:g} Å; "
                f"{self.name} has no answer for it. Make the cell smaller, or leave the atom out."
            )
        energies, forces, stress = super()._one(atoms)
        if self.is_corrected:
            energies = energies + correction_of(atoms.get_chemical_formula(empirical=True))
        return energies, forces, stress
