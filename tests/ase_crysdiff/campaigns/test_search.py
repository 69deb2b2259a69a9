"""Volumes, random lattices and coordination against what is known of them."""

import math

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from ase_crysdiff.campaigns.host_guided.coordination import (
    coordination_numbers,
    entropies,
    most_varied,
)
from ase_crysdiff.crystal.volume import (
    atom_count_weights,
    coefficients,
    formula_units_in,
    sizes_in,
    volume_per_atom,
)
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.bravais import TYPES, random_lattice
from ase_crysdiff.testing.crystals import prototypes

HOLOHEDRIES = {
    "cP": "Pm-3m",
    "cI": "Im-3m",
    "cF": "Fm-3m",
    "tP": "P4/mmm",
    "tI": "I4/mmm",
    "oP": "Pmmm",
    "oC": "Cmmm",
    "oI": "Immm",
    "oF": "Fmmm",
    "hP": "P6/mmm",
    "hR": "R-3m",
    "mP": "P2/m",
    "mC": "C2/m",
    "aP": "P-1",
}


@pytest.mark.parametrize("kind", TYPES)
def test_lattices_have_their_type_and_volume(kind):
    seen = set()
    for index in range(3):
        lattice = random_lattice(kind, 57.0, 5, index).numpy()
        assert abs(np.linalg.det(lattice)) == pytest.approx(57)
        seen.add(round(float(np.linalg.norm(lattice[2])), 6))
        crystal = Structure(Lattice(lattice), ["H"], [[0, 0, 0]])
        assert (
            SpacegroupAnalyzer(crystal, 1e-3, angle_tolerance=0.01).get_space_group_symbol()
            == HOLOHEDRIES[kind]
        )
    assert len(seen) == (1 if kind[0] == "c" else 3)
    assert (random_lattice(kind, 57.0, 5, 2).numpy() == lattice).all()


def test_lattices_need_a_type_and_a_volume():
    for kind, volume in (("xP", 10.0), ("cP", 0.0), ("cP", math.nan)):
        with pytest.raises(InputError, match="a type out of cP, cI"):
            random_lattice(kind, volume, 0, 0)


@pytest.mark.parametrize(
    ("amounts", "volume", "tolerance"),
    # Å³/atom of rock salt (a 5.64), bcc sodium (a 4.23), SrTiO3 (a 3.905)
    [
        ({"Na": 4, "Cl": 4}, 22.4, 0.15),
        ({"Na": 1}, 37.8, 0.15),
        ({"Sr": 1, "Ti": 1, "O": 3}, 11.9, 0.15),
    ],
)
def test_volumes_are_those_of_known_crystals(amounts, volume, tolerance):
    assert volume_per_atom(amounts) == pytest.approx(volume, rel=tolerance)
    assert volume_per_atom({k: 3 * v for k, v in amounts.items()}) == pytest.approx(
        volume_per_atom(amounts)
    )


def test_a_cell_tells_how_many_guests_it_has_room_for():
    """Rock salt without its sodium: the volume is that of four, and of nothing else within the
    regression's error.
    """
    odds = atom_count_weights({"Cl": 4}, [("Na", 0, 8)], 5.64**3)
    assert len(odds) == 13
    assert odds[:4] == (0.0,) * 4  # the host alone has four
    assert odds.index(1.0) in (7, 8)
    assert odds[8] > 0.5
    assert max(odds[5], odds[10], odds[12]) < 0.1
    both = atom_count_weights({"Cl": 4}, [("Na", 0, 2), ("K", 1, 1)], 5.64**3)
    assert [n for n, x in enumerate(both) if x] == [5, 6, 7]
    assert atom_count_weights({"Cl": 4}, [("Xx", 0, 8)], 100.0) is None


@pytest.mark.parametrize(
    ("unit", "volume", "expected"),
    [
        ({"Na": 1, "Cl": 1}, 5.64**3, (4,)),
        ({"Na": 1, "Cl": 1}, 5.64**3 / 4, (1,)),
        ({"Sr": 1, "Ti": 1, "O": 3}, 3.905**3, (1,)),
        ({"Sr": 1, "Ti": 1, "O": 3}, 8 * 3.905**3, (7, 8)),
        ({"Sr": 1, "Ti": 1, "O": 3}, 10.0, (1,)),
        ({"Xx": 1}, 100.0, None),
    ],
)
def test_a_cell_tells_how_many_formula_units_it_has_room_for(unit, volume, expected):
    assert formula_units_in(unit, volume) == expected


def test_numbers_of_atoms_follow_the_room_there_is():
    sizes = {1: 1.0, 5: 1.0, 20: 1.0, 40: 0.0}
    for volume, likeliest in ((20.0, 1), (90.0, 5), (400.0, 20), (1e6, 20), (1e-3, 1)):
        odds = sizes_in(volume, sizes)
        assert max(odds, key=odds.__getitem__) == likeliest
        assert odds[40] == 0.0 < odds[likeliest]
    assert sizes_in(90.0, sizes)[1] < 0.01  # 90 Å³ for one atom


def test_volumes_of_unknown_elements_must_be_given():
    assert len(coefficients()) > 80
    for amounts in ({"Xx": 1}, {}):
        with pytest.raises(InputError, match="Give volume_per_atom"):
            volume_per_atom(amounts)


@pytest.mark.data
def test_volumes_of_validation_crystals(data):
    """The figure that the docstring quotes."""
    from pandas import read_csv

    table = read_csv(data / "mp" / "val.csv.gz", keep_default_na=False, dtype=str)
    errors = []
    for text in table.cif[:300]:
        volume = float(text.split("_cell_volume")[1].split()[0])
        formula = text.split("_chemical_formula_sum")[1].split("\n")[0].strip(" '")
        amounts = {
            part.rstrip("0123456789"): int(
                part.lstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
            )
            for part in formula.split()
        }
        errors.append(abs(volume_per_atom(amounts) * sum(amounts.values()) / volume - 1))
    assert np.median(errors) < 0.06
    assert np.percentile(errors, 90) < 0.2


def test_coordination_of_prototypes():
    assert dict(coordination_numbers(prototypes()["NaCl"])) == {"Na": 6, "Cl": 6}
    assert dict(coordination_numbers(prototypes()["SrTiO3"])[:2]) == {"Sr": 12, "Ti": 6}


def test_entropy_is_zero_for_rigid_surroundings_and_ln_2_for_two():
    found = entropies([[("P", 4), ("Li", 4)], [("P", 4), ("Li", 6)]])
    assert found == {"Li": pytest.approx(math.log(2)), "P": pytest.approx(0)}


def test_the_most_varied_element_is_found():
    """Sodium and chlorine in rock salt and in the caesium chloride structure; oxygen-like spectator
    elsewhere.
    """
    cscl = Structure(Lattice.cubic(3.5), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    symbol, values = most_varied([prototypes()["NaCl"], cscl, prototypes()["SrTiO3"]])
    assert symbol in ("Na", "Cl")
    assert values["Na"] == pytest.approx(math.log(2))
    assert values["Ti"] == pytest.approx(0)
    with pytest.raises(InputError, match="Name the guests"):
        most_varied([prototypes()["Cu"]])
