"""From partial occupancies to a host and guests."""

import csv
import gzip
import warnings

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.decorations import FULL
from ase_crysdiff.errors import InputError
from pymatgen_ext import from_disordered


def chloride():
    """LaCl3 (P6_3/m) with tantalum on part of the lanthanum sites and lithium in the channels."""
    cell = Lattice.hexagonal(7.48, 4.37)
    chlorine = [[0.387, 0.302, 0.25], [0.698, 0.085, 0.25], [0.915, 0.613, 0.25]]
    return Structure(
        cell,
        [{"La3+": 0.5, "Ta5+": 0.5}] * 2 + [{"Li+": 0.4}] * 2 + ["Cl-"] * 6,
        [
            [1 / 3, 2 / 3, 0.25],
            [2 / 3, 1 / 3, 0.75],
            [0, 0, 0],
            [0, 0, 0.5],
            *chlorine,
            *(-np.array(chlorine)),
        ],
    )


def test_chloride_becomes_its_framework_and_guests():
    host, guests = from_disordered(chloride())
    assert host.formula == "Cl6"
    assert guests == {"La": 1, "Ta": 1, "Li": 1}
    assert host.properties["crysdiff_occupancies"]["Li"] == {"occupancy": 0.8, "taken": 1}
    np.testing.assert_allclose(host.lattice.matrix, chloride().lattice.matrix)
    np.testing.assert_allclose(host.frac_coords, chloride().frac_coords[4:])


@pytest.mark.parametrize(
    "supercell", [2, (2, 2, 2), np.diag([2, 2, 2]), [[2, 0, 0], [0, 2, 0], [0, 0, 2]]]
)
def test_larger_cells_round_less(supercell):
    host, guests = from_disordered(chloride(), supercell)
    assert host.formula == "Cl48"
    assert guests == {"La": 8, "Ta": 8, "Li": 6}
    assert host.properties["crysdiff_occupancies"]["Li"]["occupancy"] == pytest.approx(6.4)


def test_the_given_structure_is_not_changed():
    structure = chloride()
    from_disordered(structure, 2)
    assert structure == chloride()


@pytest.mark.parametrize(
    ("structure", "supercell", "message"),
    [
        (Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]]), None, "no partially occupied site"),
        (Structure(Lattice.cubic(4), [{"Na": 0.5}], [[0, 0, 0]]), None, "so there is no host"),
        (
            Structure(Lattice.cubic(4), ["Cl", {"Na": 0.2}], [[0, 0, 0], [0.5, 0.5, 0.5]]),
            None,
            "larger supercell",
        ),
        (chloride(), 0, "at least as large"),
        (chloride(), 1.5, "whole number"),
        (chloride(), (1, 2), "whole number"),
    ],
)
def test_what_cannot_be_filled_is_refused(structure, supercell, message):
    with pytest.raises(InputError, match=message):
        from_disordered(structure, supercell)


@pytest.mark.data
def test_superconductors_keep_their_composition(data):
    """Twelve published crystals in cells of 27: sums of occupancies, rounded, whatever the sites
    and labels look like.
    """
    filled = 0
    with gzip.open(data / "superconductors" / "3dsc_mp_disordered.csv.gz", "rt") as file:
        csv.field_size_limit(10**7)
        texts = [row["cif"] for row, _ in zip(csv.DictReader(file), range(12), strict=False)]
    for text in texts:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structure = Structure.from_str(text, fmt="cif")
        if all(len(site.species) > 1 or site.species.num_atoms <= FULL for site in structure):
            with pytest.raises(InputError, match="no host"):
                from_disordered(structure, 3)
            continue
        host, guests = from_disordered(structure, 3)
        filled += 1
        wanted = structure.composition.element_composition
        for symbol, number in guests.items():
            total = number + sum(site.specie.symbol == symbol for site in host)
            assert abs(total - 27 * wanted[symbol]) < 0.51
    assert filled >= 3
