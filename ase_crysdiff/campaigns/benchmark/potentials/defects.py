"""What it costs to cut a solid in two, and to take an atom out, against another potential."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ase.units import J, m
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
from ase_crysdiff.campaigns.benchmark.potentials.matcalc_import import matcalc, quiet
from ase_crysdiff.campaigns.benchmark.potentials.solids import Solid, solids
from ase_crysdiff.campaigns.versions import versions
from ase_crysdiff.errors import InputError
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.storage import Store

#: To which forces what has been cut relaxes, eV/Å, and in at most how many steps.
_FMAX, _STEPS = 0.05, 200


class _Cost(Section):
    """One energy for each item, by a class of matcalc.

    Attributes:
        energy: What it is, in words.
        unit: Of it.
    """

    compares = True
    energy: ClassVar[str]
    unit: ClassVar[str]

    def __init__(self) -> None:
        matcalc()
        self.settings = {"fmax": _FMAX, **versions(("matcalc",))}

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        with quiet():
            return single(lambda one: self._cost(contender, one), given)

    @abstractmethod
    def _cost(self, contender: Contender, given: Any) -> float:
        """The energy of an item, in `unit`."""

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        pairs = _pairs(found.values, reference.values)
        errors = [ours - theirs for ours, theirs in pairs]
        relative = [100 * error / theirs for error, (_, theirs) in zip(errors, pairs, strict=True)]
        return [
            Row(f"{self.energy}, mean", self.unit, mean([*found.values.values()])),
            Row("mean |error|", self.unit, mean_size(errors)),
            Row("mean |error|", "%", mean_size(relative)),
            Row("mean error", self.unit, mean(errors)),
            Row(self.title, "1", len(pairs)),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        pairs = _pairs(found.values, reference.values)
        ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        return [Parity(self.energy, self.unit, theirs, ours, "the reference")]


class Surfaces(_Cost):
    """Energies of the close surfaces of metals and the neutral ones of salts: slabs of 10 Å in
    20 Å of vacuum, cut from the solid at rest; their atoms relax.
    """

    name, title, energy, unit = "surfaces", "surfaces", "surface energy", "J/m²"
    #: Solids and the Miller indices of the planes.
    planes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Cu": ("111", "100", "110"),
        "Al": ("111", "100"),
        "Pd": ("111", "100"),
        "Mo": ("110", "100"),
        "LiF": ("100",),
        "NaF": ("100",),
        "MgO": ("100", "110"),
    }

    def items(self, folder: Store) -> list[Item]:
        return [
            Item(f"{solid.formula} {plane}", (solid, tuple(map(int, plane))))
            for solid in solids()
            for plane in self.planes.get(solid.formula, ())
        ]

    def _cost(self, contender: Contender, given: Any) -> float:
        solid, plane = given
        # matcalc cuts what it is given, not what it has relaxed.
        calculation = matcalc().SurfaceCalc(
            contender.calculator, relax_bulk=False, fmax=_FMAX, max_steps=_STEPS
        )
        slabs = calculation.calc_slabs(
            _at_rest(solid, contender), miller_index=plane, min_slab_size=10.0, min_vacuum_size=20.0
        )
        return float(min(slab["surface_energy"] for slab in slabs) * m**2 / J)


class Vacancies(_Cost):
    """Energies of a vacancy in elements, the atom taken to the solid: cells at least 7 Å wide at
    the lattice constant of the solid at rest; their atoms relax.
    """

    name, title, energy, unit = "vacancies", "vacancies", "vacancy energy", "eV"
    #: Solids.
    elements: ClassVar[tuple[str, ...]] = ("Cu", "Al", "Pd", "Ag", "Mo", "W", "Na")

    def items(self, folder: Store) -> list[Item]:
        return [Item(s.formula, s) for s in solids() if s.formula in self.elements]

    def _cost(self, contender: Contender, given: Any) -> float:
        calculation = matcalc().DefectCalc(
            contender.calculator, relax_bulk=False, fmax=_FMAX, max_steps=_STEPS
        )
        found = calculation.calc_defects(_at_rest(given, contender), min_length=7.0)
        return float(found[0]["formation_energy"])


def _at_rest(solid: Solid, contender: Contender) -> Structure:
    """The cubic cell of a solid where the potential has it.

    Raises:
        InputError: If it has no such solid.
    """
    given = solid.structure(conventional=True)
    (result,) = relax([given], contender.potential, fmax=0.01, symmetric=True, progress=False)
    if not result.converged or result.structure is None:
        raise InputError(f"{solid.formula} did not come to rest: {result.reason}.")
    return result.structure


def _pairs(found: Mapping[str, Any], reference: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Energies of both potentials."""
    return [(found[key], reference[key]) for key in found if key in reference]
