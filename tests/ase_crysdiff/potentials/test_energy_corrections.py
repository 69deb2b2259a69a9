"""The Materials Project's corrections, against pymatgen's scheme applied to whole entries."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedStructureEntry

from ase_crysdiff.data.label_packing import corrections
from ase_crysdiff.data.label_sources import joined
from ase_crysdiff.potentials.energy_corrections import correction, correction_of

HUBBARDS = {"Co": 3.32, "Cr": 3.7, "Fe": 5.3, "Mn": 3.9, "Mo": 4.38, "Ni": 6.2, "V": 3.25, "W": 6.2}

PAIRS = [
    "Na Cl",
    "Mg O",
    "Li F",
    "Pb S",
    "Pb Se",
    "Pb Te",
    "Fe O",
    "Mn S",
    "Ti N",
    "Ni O",
    "Na Br",
    "K I",
    "Cu Au",
    "Li H",
]
CENTRED = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def rocksalt(cation, anion):
    return Structure(Lattice(4.3 * CENTRED), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def lithium_peroxide():
    """P6_3/mmc, with bonds of 1.55 Å between the oxygen atoms."""
    return Structure(
        Lattice.hexagonal(3.18, 7.72),
        ["Li"] * 4 + ["O"] * 4,
        [
            [0, 0, 0], [0, 0, 0.5], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75],
            [1 / 3, 2 / 3, 0.65], [2 / 3, 1 / 3, 0.15], [2 / 3, 1 / 3, 0.35], [1 / 3, 2 / 3, 0.85],
        ],
    )  # fmt: skip


def by_pymatgen(structure):
    symbols = {site.specie.symbol for site in structure}
    oxidic = bool(symbols & {"O", "F"})
    used = {s: HUBBARDS[s] for s in symbols if oxidic and s in HUBBARDS}
    entry = ComputedStructureEntry(
        structure,
        0.0,
        parameters={
            "run_type": "GGA+U" if used else "GGA",
            "hubbards": used,
            "is_hubbard": bool(used),
        },
    )
    scheme = MaterialsProject2020Compatibility(check_potcar=False)
    found = scheme.process_entry(entry, clean=True, inplace=False)
    return found.correction / len(structure)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "structure",
    [
        *(rocksalt(*pair.split()) for pair in PAIRS),
        lithium_peroxide(),
    ],
    ids=lambda s: s.composition.reduced_formula,
)
def test_binaries_are_corrected_as_pymatgen_does(structure):
    assert correction(structure) == pytest.approx(by_pymatgen(structure), abs=1e-9)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [("NaCl", -2.456 / 8), ("FeO", -11.772 / 8), ("Li2O", -2.748 / 12), ("O2", 0)],
)
def test_known_values(formula, expected):
    """Of the conventional cells, eV."""
    assert correction_of(formula) == pytest.approx(expected, abs=1e-6)


def test_bonds_decide_between_oxides():
    assert correction_of("Li2O2") == pytest.approx(-0.687 / 2)
    assert correction(lithium_peroxide()) == pytest.approx(-0.465 / 2)


def row(structure, name, energy):
    return {
        "material_id": np.array([name]),
        "kind": np.array([0]),
        "num_atoms": np.array([len(structure)]),
        "lattice": structure.lattice.matrix[None],
        "energy_per_atom": np.array([energy]),
        "stress": np.zeros((1, 3, 3)),
        "frac_coords": structure.frac_coords,
        "atomic_numbers": np.array([site.specie.Z for site in structure]),
        "forces": np.zeros((len(structure), 3)),
    }


def test_copies_of_a_crystal_get_one_number():
    """The stretched copy alone would be an oxide, and the surface would have a step."""
    crystal = lithium_peroxide()
    stretched = crystal.copy()
    stretched.apply_strain(0.1)
    assert correction(stretched) != pytest.approx(correction(crystal))
    arrays = joined([row(stretched, "a", -4.0), row(crystal, "a", -5.0), row(stretched, "b", -4.0)])
    assert corrections(arrays) == pytest.approx([-0.465 / 2, -0.465 / 2, -0.687 / 2])
