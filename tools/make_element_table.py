"""Writes `ase_crysdiff/resources/element_table.csv`: measured and tabulated properties of the
elements, as pymatgen has them. What it does not know is the mean of the column.

    python tools/make_element_table.py
"""

import warnings
from pathlib import Path

import numpy as np
from pymatgen.core import Element

from ase_crysdiff.crystal.elements import SYMBOLS

_OUTPUT = Path(__file__).parents[1] / "ase_crysdiff/resources/element_table.csv"
_LAST = 103
_PLAIN = (
    "row",
    "group",
    "mendeleev_no",
    "X",
    "atomic_mass",
    "atomic_radius",
    "atomic_radius_calculated",
    "average_ionic_radius",
    "van_der_waals_radius",
    "melting_point",
    "boiling_point",
    "density_of_solid",
    "molar_volume",
    "ionization_energy",
    "electron_affinity",
    "thermal_conductivity",
    "bulk_modulus",
    "youngs_modulus",
    "poissons_ratio",
    "coefficient_of_linear_thermal_expansion",
)
_SHELLS = {"s": 2, "p": 6, "d": 10, "f": 14}


def main() -> None:
    """Writes the table."""
    warnings.simplefilter("ignore")
    shells = [f"valence_{s}" for s in _SHELLS] + [f"unfilled_{s}" for s in _SHELLS]
    columns = ["Z", *_PLAIN, "max_oxidation", "min_oxidation", *shells]
    table = np.full((_LAST, len(columns)), np.nan)
    for number in range(1, _LAST + 1):
        element = Element(SYMBOLS[number])
        states = element.common_oxidation_states or element.oxidation_states or (0,)
        valence = _valence(element)
        row = [number, *(_number(getattr(element, name)) for name in _PLAIN)]
        row += [max(states), min(states), *(valence[s] for s in _SHELLS)]
        row += [(full - valence[s]) % full for s, full in _SHELLS.items()]
        table[number - 1] = row
    means = np.nanmean(table, axis=0)
    table = np.where(np.isnan(table), means, table)
    lines = ["symbol," + ",".join(columns)]
    for symbol, row in zip(SYMBOLS[1:], table, strict=False):
        lines.append(symbol + "," + ",".join(f"{x:.5g}" for x in row))
    _OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _valence(element: Element) -> dict[str, int]:
    """Electrons in each kind of shell beyond the noble gas."""
    text = element.electronic_structure.split("]")[-1]
    found = dict.fromkeys(_SHELLS, 0)
    for word in text.strip(".").split("."):
        found[word[1]] += int(word[2:])
    return found


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


if __name__ == "__main__":
    main()
