"""Guests on the Wyckoff positions of a host."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.coordinates import frac_coords_of
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.symmetry.fillings import SymmetricHost
from ase_crysdiff.symmetry.own_cell import operations_of, symbol_of

RADII = covalent_radii().double().numpy()
LITHIUM, OXYGEN, TITANIUM = 3, 8, 22
CUBE = Structure(Lattice.cubic(3.9), ["Ti"], [[0, 0, 0]])
RUTILE = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)


def host_of(structure):
    return SymmetricHost(
        operations_of(structure).operations,
        frac_coords_of(structure),
        np.array(structure.atomic_numbers),
        structure.lattice.matrix,
        RADII,
    )


def test_oxygen_goes_to_the_edges_of_a_cube_first():
    """Of three oxygen atoms in Pm-3m there are c (faces) and d (edges); titanium leaves room at
    both, and subgroups with more sites come later.
    """
    fillings = host_of(CUBE).fillings({OXYGEN: 3})
    first = [f for f in fillings if len(f.operations) == 48]
    assert {round(float(np.sort(f.points(np.zeros(0))[0])[1] * 2)) for f in first} == {0, 1}
    assert fillings[0] in first
    assert [f.weight for f in fillings] == sorted((f.weight for f in fillings), reverse=True)


def test_a_host_may_stay_empty():
    (empty,) = host_of(CUBE).fillings({})
    assert empty.points(np.zeros(0)).shape == (0, 3)
    assert len(empty.operations) == 48
    assert empty.counts == {}


def test_a_subgroup_serves_where_the_group_has_no_position():
    """Pm-3m has no two equivalent places; its subgroups have."""
    fillings = host_of(CUBE).fillings({LITHIUM: 2})
    assert fillings
    largest = max(len(f.operations) for f in fillings)
    assert largest == 16
    assert symbol_of(fillings[0].operations, CUBE.lattice.matrix) != "Pm-3m"


@pytest.mark.parametrize(
    ("structure", "guests"),
    [(CUBE, {OXYGEN: 3}), (CUBE, {LITHIUM: 2, OXYGEN: 1}), (RUTILE, {LITHIUM: 2})],
)
def test_guests_have_the_operations_and_room(structure, guests):
    host, generator = host_of(structure), np.random.default_rng(0)
    for filling in host.fillings(guests, 12):
        assert filling.counts == guests
        points = filling.apart(generator.random((32, filling.free)))
        assert filling.operations.deviation(points, structure.lattice.matrix) < 1e-9
        radii = np.repeat(RADII[list(filling.species)], [s.multiplicity for s in filling.sites])
        assert host.room(radii, points) > 0.55


def test_equal_crystals_are_listed_once():
    """Three of the cube's twelve edges in three directions are one crystal, whatever its group."""
    fillings = host_of(CUBE).fillings({OXYGEN: 1})
    fixed = [f.points(np.zeros(0)) for f in fillings if not f.free]
    kinds = {tuple(np.sort(np.rint(points[0] * 2)).tolist()) for points in fixed}
    assert len(kinds) == len(fixed) == 3  # centre, face, edge


def test_there_may_be_no_room():
    tight = Structure(Lattice.cubic(2.2), ["Ti"], [[0, 0, 0]])
    assert host_of(tight).fillings({LITHIUM: 2}) == []
