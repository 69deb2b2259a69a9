"""How metrics are written for people."""

from collections.abc import Mapping
from typing import Any

from ase_crysdiff.pictures.typography import number

#: Name of the class of all that have no class of their own.
OTHERS = "others"
#: Of each metric the name to show, and how the value is written: a rate in percent, or a number
#: with its unit.
LABELS: Mapping[str, tuple[str, str]] = {
    "structural_validity": ("Structurally valid", "%"),
    "distance_validity": ("No atoms too close (0.7 × covalent radii)", "%"),
    "compositional_validity": ("Charge-neutral composition (SMACT)", "%"),
    "uniqueness": ("Unique", "%"),
    "novelty": ("Novel", "%"),
    "stability": ("Stable", "%"),
    "metastability": ("Metastable or stable", "%"),
    "sun": ("S.U.N.: stable, unique, novel", "%"),
    "msun": ("M.S.U.N.: metastable, unique, novel", "%"),
    "symmetry_success": ("Symmetric beyond P1 and P-1", "%"),
    "symmetry_success_tight": ("Symmetric beyond P1 and P-1 at 0.01 Å", "%"),
    "energy_above_hull": ("Mean energy above hull", "eV/atom"),
    "energy_uncertainty": ("Expected error of energies, mean", "eV/atom"),
    "rmsd_to_relaxed": ("Mean displacement by relaxing", "Å"),
    "density_distance": ("Distance of densities", "g/cm³"),
    "num_elements_distance": ("Distance of numbers of elements", ""),
    "num_atoms_distance": ("Distance of atom counts", ""),
    "num_primitive_atoms_distance": ("Distance of atom counts of primitive cells", ""),
    "space_groups": ("Distance of space groups", ""),
    "cov_recall": ("COV recall", "%"),
    "cov_precision": ("COV precision", "%"),
}


def value_of(result: Mapping[str, Any], unit: str) -> str:
    """A value as people read it.

    Args:
        result: With `value`, None for none.
        unit: "%" for a share, which is given in percent.
    """
    value = result["value"]
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if unit == "%" else f"{number(value)} {unit}".strip()


def interval_of(result: Mapping[str, Any], unit: str) -> str:
    """The interval of a value as people read it; nothing where there is none.

    Args:
        result: With `value` and `interval`.
        unit: "%" for a share, which is given in percent.
    """
    low, high = result["interval"]
    if result["value"] is None or low is None or high is None:
        return ""
    if unit == "%":
        return f"[{100 * low:.1f}–{100 * high:.1f}]"
    return f"[{number(low)} to {number(high)}]"
