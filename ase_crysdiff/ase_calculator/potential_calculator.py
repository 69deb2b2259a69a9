"""The one implementation of ASE's contract: any potential as a calculator."""

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state, threads_for

if TYPE_CHECKING:
    from ase_crysdiff.potentials.base import Potential


#: Properties that ASE has no names for: eV/atom, and eV/atom by atom.
UNCERTAINTIES = ("energy_uncertainty", "energies_uncertainty")


class PotentialCalculator(Calculator):  # type: ignore[misc]
    """A potential for `atoms.calc`: energies in eV, forces in eV/Å, stress in eV/Å³.

    Stress is in Voigt order xx yy zz yz xz xy, tension positive. One evaluation fills all
    properties. Periodicity is taken from `atoms.pbc` axis by axis; a stress exists for cells that
    are periodic along all three. Charges, magnetic moments and `atoms.info` are not read.

    Of potentials that say how far they are to be believed `get_property("energy_uncertainty")` is
    the standard deviation of the energy's error in eV per atom, and "energies_uncertainty" that of
    crystals made of each atom alone, shape (atoms,). They are computed where they are asked for,
    and by no step of a simulation; `potential.uncertainty_limit` is the limit above which the
    potential is outside of what it knows.

    Args:
        potential: Any potential of this package or of a plugin.
        atoms: Atoms that the calculator is attached to.
        directory: Unused by the potential; kept for ASE.

    Raises:
        ValueError: In a calculation, for atoms that cannot be evaluated: none at all, unknown
            elements, positions or a cell that are not finite, a periodic cell without volume.
        CalculationFailed: If the potential has no finite answer for the atoms.
    """

    name = "crysdiff"
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012
    discard_results_on_any_change = True
    nolabel = True
    results: dict[str, Any]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"{type(self).__name__}({given})"

    def __init__(
        self, potential: "Potential", *, atoms: Atoms | None = None, directory: str = "."
    ) -> None:
        for name in ("evaluate", "elements", "name", "dtype", "device"):
            if isinstance(potential, type) or not hasattr(potential, name):
                raise InputError(
                    f"A Potential instance is needed, not {potential!r}. For a shipped model use "
                    "DAOPCalculator(model=...)."
                )
        self._potential: Potential | None = potential
        self._offer(potential)
        parameters = {
            "potential": potential.name,
            "device": str(potential.device),
            "dtype": str(potential.dtype).removeprefix("torch."),
        }
        super().__init__(atoms=atoms, directory=directory, **parameters)

    @property
    def potential(self) -> "Potential":
        """The potential that is asked."""
        assert self._potential is not None
        return self._potential

    def set(self, **changes: Any) -> dict[str, Any]:
        """Refuses to change what is fixed when the calculator is made.

        Raises:
            InputError: If a parameter would change.
        """
        known = self.parameters or {}
        changed = {
            key: value for key, value in changes.items() if key not in known or known[key] != value
        }
        if known and changed:
            raise InputError(
                f"{sorted(changed)} cannot be changed; make a new calculator with another "
                "potential."
            )
        found: dict[str, Any] = super().set(**changes)
        return found

    def _offer(self, potential: "Potential") -> None:
        """Offers what the potential can say of itself."""
        known = type(self).implemented_properties
        more = (
            [] if math.isnan(getattr(potential, "uncertainty_limit", math.nan)) else UNCERTAINTIES
        )
        self.implemented_properties = [*known, *more]

    @own_state()
    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluates the potential once and keeps all its results. How far they are to be believed
        is found beside them if it is asked for.
        """
        is_asked = any(name in UNCERTAINTIES for name in properties or ())
        if is_asked and not system_changes and "energy" in self.results:
            self.results |= self._uncertainties()
            return
        super().calculate(atoms, properties or ["energy"], system_changes)
        if self.atoms is None:
            raise InputError("The calculator has no atoms; attach it with atoms.calc = calculator.")
        from ase_crysdiff.potentials.convert import from_atoms

        self.results = {}
        potential = self.potential
        configurations = from_atoms([self.atoms])
        # A potential refuses what it cannot be asked: that is its contract, and nobody else's rule.
        with threads_for(len(self.atoms)):
            answer = potential.evaluate(configurations)
        if answer.failures:
            raise CalculationFailed(
                f"{potential.name} has no answer for {self.atoms.get_chemical_formula()}: "
                f"{answer.failures[0]}"
            )
        energy = float(answer.energy[0])
        results: dict[str, Any] = {
            "energy": energy,
            "free_energy": energy,
            "energies": answer.energies.double().cpu().numpy(),
            "forces": answer.forces.double().cpu().numpy(),
        }
        stress = answer.stress[0].double().cpu().numpy()
        if self.atoms.pbc.all() and not np.isnan(stress).all():
            results["stress"] = full_3x3_to_voigt_6_stress(stress)
        for name, value in results.items():
            if not np.isfinite(value).all():
                raise CalculationFailed(
                    f"{potential.name} gives a {name} that is not finite for "
                    f"{self.atoms.get_chemical_formula()}. Atoms probably "
                    "overlap: look at atoms.get_all_distances(mic=True)."
                )
        self.results = results | (self._uncertainties() if is_asked else {})

    def _uncertainties(self) -> dict[str, Any]:
        """Expected errors of what has been calculated."""
        from ase_crysdiff.potentials.convert import from_atoms

        with threads_for(len(self.atoms)):
            found = self.potential.uncertainty(from_atoms([self.atoms]))
        values = float(found.systems[0]), found.atoms.double().cpu().numpy()
        return dict(zip(UNCERTAINTIES, values, strict=True))

    def __deepcopy__(self, memo: dict[int, Any]) -> "PotentialCalculator":
        """A copy with its own results that shares the potential, which holds no state."""
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        memo[id(self._potential)] = self._potential
        for key, value in self.__dict__.items():
            new.__dict__[key] = copy.deepcopy(value, memo)
        return new
