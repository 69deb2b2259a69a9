"""Energies of PBE and PBE+U on the Materials Project's corrected scale.

Potentials trained on plain total energies mix two methods (with and without a Hubbard term) and
carry PBE's errors for anions. The Materials Project removes both by energies per atom of the anions
and of the metals in oxides and fluorides, and its formation energies and hulls are on that scale.

Source: Wang et al., Scientific Reports 11, 15496 (2021); the rules and numbers are those of
`pymatgen.entries.compatibility.MaterialsProject2020Compatibility`.
"""

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pymatgen.analysis.structure_analyzer import oxide_type, sulfide_type
from pymatgen.core import Composition, Element, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import (
    ComputedEntry,
    ComputedStructureEntry,
    EnergyAdjustment,
)
from pymatgen.io.vasp.sets import MPRelaxSet

#: Bonds between oxygen atoms are told from contacts with this tolerance, as the scheme does.
_BOND_TOLERANCE = 1.05
#: What a sulphur compound that is no sulfide is called here.
_OTHER = "other"


def correction(structure: Structure) -> float:
    """What the scheme adds to the energy of a crystal, eV/atom.

    Which oxide or sulfide a crystal is, is read off its bonds: give an undistorted structure, and
    use its number for distorted copies, too, or the surface gets steps.

    Args:
        structure: Ordered; oxidation states are not read.
    """
    symbols = {site.specie.symbol for site in structure}
    oxide = oxide_type(structure, _BOND_TOLERANCE) if "O" in symbols else "None"
    sulfide = sulfide_type(structure) or _OTHER if "S" in symbols else _OTHER
    return correction_of(structure.composition.reduced_formula, oxide, sulfide)


@lru_cache(maxsize=100_000)
def correction_of(formula: str, oxide: str = "oxide", sulfide: str = "sulfide") -> float:
    """What the scheme adds to the energy of a composition, eV/atom.

    Args:
        formula: Such as `Fe2O3`.
        oxide: `oxide`, `peroxide`, `superoxide`, `ozonide` or `hydroxide`; not read without oxygen.
        sulfide: `sulfide`, `polysulfide` or another word; not read without sulphur.
    """
    composition = Composition(formula)
    if len(composition) == 1:
        return 0.0
    entry = ComputedEntry(
        composition,
        0.0,
        parameters=_as_calculated(composition),
        data={"oxide_type": oxide, "sulfide_type": sulfide},
    )
    return sum(a.value for a in _adjustments(entry)) / float(composition.num_atoms)


def corrected_entry(
    structure: Structure, energy: float, entry_id: str, data: Mapping[str, Any]
) -> ComputedStructureEntry:
    """An entry whose energy, the scheme's corrections included, is a given one.

    Args:
        structure: Ordered, of elements; its bonds tell oxides and sulfides of all kinds apart.
        energy: Total energy with corrections, eV.
        entry_id: Name of the entry.
        data: What else is known of it.
    """
    entry = ComputedStructureEntry(
        structure,
        0.0,
        parameters=_as_calculated(structure.composition),
        data=dict(data),
        entry_id=entry_id,
    )
    found = _adjustments(entry)
    plain = energy - sum(adjustment.value for adjustment in found)
    return ComputedStructureEntry(
        structure,
        plain,
        energy_adjustments=found,
        parameters=entry.parameters,
        data=entry.data,
        entry_id=entry_id,
    )


def _as_calculated(composition: Composition) -> dict[str, Any]:
    """What the Materials Project would have calculated a composition with, as the scheme asks for
    it: by name no run of VASP, whose pseudopotentials it would check.
    """
    anion = max(composition.elements, key=lambda element: element.X)
    hubbards = MPRelaxSet.CONFIG["INCAR"]["LDAUU"].get(anion.symbol, {})
    used = {e.symbol: float(hubbards[e.symbol]) for e in composition if e.symbol in hubbards}
    return {"run_type": "GGA+U" if used else "GGA", "hubbards": used, "software": "other"}


def _adjustments(entry: ComputedEntry) -> list[EnergyAdjustment]:
    """What the scheme adds to an entry, eV."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that oxidation states could not be guessed
        return list(_scheme().get_adjustments(entry))


@lru_cache(maxsize=1)
def _scheme() -> MaterialsProject2020Compatibility:
    return MaterialsProject2020Compatibility()


def reads_bonds(species: list[int]) -> bool:
    """Whether the correction of a crystal of these atomic numbers depends on its bonds."""
    return bool({Element("O").Z, Element("S").Z} & set(species)) and len(set(species)) > 1
