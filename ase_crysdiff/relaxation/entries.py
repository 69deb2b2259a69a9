"""Relaxed crystals as pymatgen's entries, for phase diagrams."""

import math
from typing import TYPE_CHECKING, Any

from pymatgen.core import Element, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.potentials.energy_corrections import corrected_entry

if TYPE_CHECKING:
    from ase_crysdiff.relaxation.relax_set import RelaxSet
    from ase_crysdiff.relaxation.results import RelaxResult


def entries(
    relaxed: "RelaxSet", accepted_only: bool, own_scale: bool
) -> list[ComputedStructureEntry]:
    """See `RelaxSet.to_entries`."""
    if not (relaxed.is_corrected or own_scale):
        raise IncompatibleError(
            f"Energies of {relaxed.potential} are not known to be on the Materials Project's "
            "corrected scale, where they could stand beside its entries. "
            "to_entries(own_scale=True) gives entries that compare with each other only; a "
            "potential on that scale says so by is_corrected = True."
        )
    found = []
    for position, result in enumerate(relaxed):
        structure = result.structure
        if structure is None or math.isnan(result.energy):
            continue
        if accepted_only and not result.accepted:
            continue
        index = int(structure.properties.get("crysdiff_index", position))
        name, data = f"{relaxed.potential}-{index}", _data(relaxed.potential, result)
        crystal = _of_elements(structure)
        found.append(
            ComputedStructureEntry(crystal, result.energy, data=data, entry_id=name)
            if own_scale and not relaxed.is_corrected
            else corrected_entry(crystal, result.energy, name, data)
        )
    return found


def _data(potential: str, result: "RelaxResult") -> dict[str, Any]:
    """What is known of an entry beside its energy."""
    return {
        "crysdiff_potential": potential,
        "crysdiff_accepted": result.accepted,
        "crysdiff_converged": result.converged,
        "crysdiff_remark": result.verdict,
        "crysdiff_energy_uncertainty": result.uncertainty,
    }


def _of_elements(structure: Structure) -> Structure:
    """The structure without oxidation states, which would be other species to a phase diagram."""
    return Structure(
        structure.lattice,
        [Element.from_Z(site.specie.Z) for site in structure],
        structure.frac_coords,
        properties=structure.properties,
    )
