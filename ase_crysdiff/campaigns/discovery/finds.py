"""A crystal that came to rest, and how far above the hull."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.diffraction.results import PatternFit
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.completeness import Completeness
from ase_crysdiff.metrics.formulas import amounts
from ase_crysdiff.metrics.hull import DEEPEST, Footing, Hull, footing
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.element_references import formation_energy
from ase_crysdiff.relaxation.results import RelaxResult


@dataclass(frozen=True)
class Find:
    """A relaxed crystal with what is known of it.

    Args:
        key: Of its draw.
        result: Of its relaxation; its structure and energy are those of the find.
        formation_energy: eV/atom; NaN on a hull of total energies.
        height: Energy above the hull, eV/atom.
        listed: Whether the hull holds its formula.
        unjudged: Why nothing can be said of its stability; None if something can.
        known: Whether it is among the known crystals; None if that was not asked.
        same_as: Key of the find that it is another draw of, and that lies lower; None if there is
            none.
        judge_height: Energy above the hull by a second potential, eV/atom; None if none was asked.
        properties: Value, standard deviation of its error and unit by name of the predictor.
        fit: To a measured powder pattern; None if there is none.
        misfit: What ranks it by that pattern, the less the better; None if there is none.
        dynamics: What the check of its vibrations found, in words; None if none was made.
        dynamically_stable: What it says; None if it says nothing.
        remarks: What must be said beside it.
    """

    key: str
    result: RelaxResult
    formation_energy: float
    height: float
    listed: bool
    unjudged: str | None = None
    known: bool | None = None
    same_as: str | None = None
    judge_height: float | None = None
    properties: Mapping[str, tuple[float, float, str]] | None = None
    fit: PatternFit | None = None
    misfit: float | None = None
    dynamics: str | None = None
    dynamically_stable: bool | None = None
    remarks: tuple[str, ...] = ()

    @property
    def structure(self) -> Structure:
        """Where it came to rest."""
        assert self.result.structure is not None
        return self.result.structure

    @property
    def formula(self) -> str:
        """Reduced."""
        return str(self.structure.composition.reduced_formula)

    @property
    def footing(self) -> Footing:
        """What the height rests on."""
        return footing(self.listed, self.height)

    @property
    def judged_height(self) -> float:
        """What it is ranked by: the height that the second potential gives, if one was asked."""
        return self.height if self.judge_height is None else self.judge_height

    @property
    def origin(self) -> str:
        """In words, where it comes from."""
        told = self.structure.properties
        sampler = str(told.get("crysdiff_sampler", "a sampler"))
        template = told.get("crysdiff_template")
        if template:
            return f"{sampler}: {template}"
        scaffold = told.get("crysdiff_scaffold")
        return f"{sampler}, on {scaffold}" if scaffold else sampler

    @property
    def place(self) -> tuple[float, bool, bool, bool, float, str]:
        """Where it stands among others, the best first: by the misfit of a pattern if there is one;
        what the potential knows before what it does not, what vibrates soundly before what does
        not, then by height.
        """
        return (
            0.0 if self.misfit is None else self.misfit,
            self.height < -DEEPEST,
            self.result.doubt is not None,
            self.dynamically_stable is False,
            self.judged_height,
            self.key,
        )


class Heights:
    """Heights above a hull from energies that are known already: those of relaxations, which need
    not be computed once more.

    Args:
        potential: Whose energies.
        hull: Known compounds.
    """

    def __init__(self, potential: Potential, hull: Hull) -> None:
        self.hull, self.complete = hull, Completeness(hull)
        found = potential.formation_references
        self.references = {SYMBOLS[z]: energy for z, energy in found.items()}

    def find(self, key: str, result: RelaxResult) -> Find:
        """The find of a relaxation that is to be believed.

        Raises:
            InputError: If the hull or the references lack an element; the message names it.
        """
        assert result.structure is not None
        composition, energy = result.structure.composition, result.energy_per_atom
        formed = math.nan
        if self.hull.scale == "formation":
            formed = formation_energy(energy, amounts(composition), self.references)
        own = energy if math.isnan(formed) else formed
        return Find(
            key,
            result,
            formed,
            own - self.hull.energy(composition),
            self.hull.is_listed(composition),
            self.complete.objection(composition),
        )


def finds_of(
    relaxed: Sequence[tuple[str, RelaxResult]], heights: Heights
) -> tuple[list[Find], dict[str, str]]:
    """Results that are to be believed as finds, and why others are none, by key.

    Args:
        relaxed: Key and result of each relaxation.
        heights: Says how far above the hull they lie.
    """
    found, lost = [], {}
    for key, result in relaxed:
        reason = disbelieved(result)
        if reason is None:
            try:
                found.append(heights.find(key, result))
            except InputError as error:
                reason = str(error)
        if reason is not None:
            lost[key] = reason
    return found, lost


def disbelieved(result: RelaxResult) -> str | None:
    """Why the end of a relaxation is not to be believed; None if it is."""
    if result.structure is None or math.isnan(result.energy):
        return str(result.reason)
    return None if result.accepted and result.converged else str(result.reason)


def again(find: Find, result: RelaxResult, heights: Heights) -> Find:
    """The find after another relaxation; as it was if that is not to be believed.

    Args:
        find: As it was.
        result: Of the relaxation.
        heights: Says how far above the hull it lies.
    """
    anew, _ = finds_of([(find.key, result)], heights)
    if not anew:
        remark = f"not released from its symmetry: {disbelieved(result)}"
        return replace(find, remarks=(*find.remarks, remark))
    (found,) = anew
    fallen = result.kept_symmetry is False
    remarks = (f"left the saddle {result.space_group}",) if fallen else ()
    known = None if fallen and not find.known else find.known
    return replace(found, remarks=(*find.remarks, *remarks), known=known)


def plain(find: Find) -> dict[str, Any]:
    """A find as plain values for a table: what is said of it, without the crystal."""
    told = {
        "key": find.key,
        "formula": find.formula,
        "energy_above_hull": find.height,
        "footing": str(find.footing),
        "judge_energy_above_hull": find.judge_height,
        "formation_energy": find.formation_energy,
        "energy_per_atom": find.result.energy_per_atom,
        "energy_uncertainty": find.result.uncertainty,
        "known": find.known,
        "pattern_residual": None if find.fit is None else find.fit.residual,
        "pattern_remark": None if find.fit is None else find.fit.remark,
        "dynamically_stable": find.dynamically_stable,
        "dynamics": find.dynamics,
        "origin": find.origin,
        "remarks": "; ".join([*find.remarks, *([find.result.doubt] if find.result.doubt else [])]),
    }
    for name, (value, deviation, unit) in (find.properties or {}).items():
        told |= {name: value, f"{name}_uncertainty": deviation, f"{name}_unit": unit}
    return told
