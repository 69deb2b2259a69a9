"""Scaffolds are found: of all positions, of textbook crystals, in any cell; and never guessed."""

import time

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import DummySpecies, Lattice, Structure
from random_crystals import as_structure, random_crystal
from symmetric_crystals import crystals

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.finding import _exact, find_scaffold, find_symmetric
from ase_crysdiff.symmetry.tables import space_group

of_group = Structure.from_spacegroup
# pymatgen's Fd-3m has the first origin: tetrahedral sites at 0 instead of 1/8.
TEXTBOOK = {
    "P4_2/mnm: Ti a, O f": crystals()["rutile"][0],
    "Pm-3m: Sr a, Ti b, O c": of_group(
        "Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0] * 3, [0.5] * 3, [0.5, 0.5, 0]]
    ),
    "Fd-3m: Mg a, Al d, O e": of_group(
        "Fd-3m", Lattice.cubic(8.08), ["Mg", "Al", "O"], [[0] * 3, [5 / 8] * 3, [0.3874] * 3]
    ),
    "F-43m: Zn a, S c": of_group("F-43m", Lattice.cubic(5.41), ["Zn", "S"], [[0] * 3, [0.25] * 3]),
    "Fm-3m: Na a, Cl b": crystals()["rock salt"][0],
    "P6_3mc: Zn b, S b": crystals()["wurtzite"][0],
    "Fd-3m: C a": of_group("Fd-3m", Lattice.cubic(3.57), ["C"], [[0] * 3]),
    "Fm-3m: Ca a, F c": of_group("Fm-3m", Lattice.cubic(5.46), ["Ca", "F"], [[0] * 3, [0.25] * 3]),
    "R-3c: Al c, O e": crystals()["corundum"][0],
    "Pa-3: Fe a, S c": crystals()["pyrite"][0],
    "P2_1/c: Zr e, O e, O e": crystals()["baddeleyite"][0],
    "P6_3/mmc: Mg c": of_group(
        "P6_3/mmc", Lattice.hexagonal(3.2, 5.2), ["Mg"], [[1 / 3, 2 / 3, 0.25]]
    ),
    "Im-3m: Fe a": Structure(Lattice.cubic(2.87), ["Fe", "Fe"], [[0] * 3, [0.5] * 3]),
}
RUTILE = TEXTBOOK["P4_2/mnm: Ti a, O f"]
each = pytest.mark.parametrize("text", TEXTBOOK)


@pytest.mark.slow
@pytest.mark.parametrize("tens", range(23))
def test_every_position_is_found_again(tens):
    """Alone in a generic cell, with two general orbits as company."""
    for number in range(10 * tens + 1, 10 * tens + 11):
        group = space_group(number)
        general = group.positions[-1].letter
        for position in group.positions:
            sites = [(8, position.letter), (11, general), (17, general)]
            crystal = random_crystal(number, sites, apart=0.8)
            found = find_symmetric(as_structure(crystal), 0.01)
            assert found.scaffold.canonical() == crystal.scaffold.canonical(), str(crystal.scaffold)
            assert found.scaffold.group == number
            assert found.scaffold.free == crystal.scaffold.free


@each
def test_textbook_crystals(text):
    assert str(find_scaffold(TEXTBOOK[text])) == text


@each
def test_cells_and_noise_change_nothing(text):
    structure = TEXTBOOK[text]
    for cell in (
        [2, 1, 1],
        [1, 2, 3],
        [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 1, 0], [1, 0, 0], [1, 0, -2]],
    ):
        larger = structure.copy()
        larger.make_supercell(cell)
        assert str(find_scaffold(larger)) == text
    random = np.random.default_rng(0)
    noisy = structure.copy()
    moves = 0.01 * random.uniform(-1, 1, (len(noisy), 3))
    noisy = Structure(
        noisy.lattice.matrix * (1 + 2e-4 * random.uniform(-1, 1, (3, 3))),
        noisy.species,
        noisy.cart_coords + moves,
        coords_are_cartesian=True,
    )
    assert str(find_scaffold(noisy)) == text


@settings(max_examples=60, deadline=None)
@given(
    text=st.sampled_from(list(TEXTBOOK)),
    shears=st.lists(st.tuples(st.permutations(range(3)), st.integers(-2, 2)), max_size=4),
    shift=st.tuples(*[st.floats(0, 1)] * 3),
    seed=st.integers(0, 2**16),
)
def test_origin_orientation_cell_and_order_change_nothing(text, shears, shift, seed):
    random = np.random.default_rng(seed)
    change = np.eye(3, dtype=int)
    for (i, j, _), times in shears:
        change[i] += times * change[j]
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]  # may be a mirror
    structure = TEXTBOOK[text]
    frac = (structure.frac_coords + shift) @ np.linalg.inv(change)
    order = random.permutation(len(structure))
    moved = Structure(
        change @ structure.lattice.matrix @ turn,
        [structure.species[i] for i in order],
        frac[order],
    )
    assert str(find_scaffold(moved)) == text


@pytest.mark.parametrize("number", [78, 95, 96, 145, 153, 154, 170, 172, 179, 181, 213])
def test_a_crystal_and_its_mirror_image_have_one_scaffold(number):
    group = space_group(number)
    general = group.positions[-1].letter
    for position in group.positions:
        crystal = random_crystal(number, [(8, position.letter), (26, general)])
        structure = as_structure(crystal)
        image = Structure(structure.lattice, structure.species, -structure.frac_coords)
        groups = {find_symmetric(s, 0.01).scaffold.group for s in (structure, image)}
        assert groups == {number, group.mirrored}
        assert find_scaffold(structure, 0.01) == find_scaffold(image, 0.01)


@each
def test_a_found_crystal_is_the_crystal(text):
    structure = TEXTBOOK[text]
    found = find_symmetric(structure)
    assert found.scaffold.num_atoms == len(structure.get_primitive_structure())
    assert np.linalg.det(found.lattice) > 0
    density = np.linalg.det(found.lattice) / found.scaffold.num_atoms
    assert density == pytest.approx(structure.volume / len(structure), rel=1e-6)
    assert as_structure(found).matches(structure, scale=False, primitive_cell=True)
    again = find_symmetric(as_structure(found), 1e-3)
    assert again.scaffold.canonical() == found.scaffold.canonical()
    operations = found.operations
    operations.check()
    assert operations.deviation(found.frac_coords, found.lattice) < 1e-6


def test_asking_for_a_setting_of_another_group_is_never_done():
    """spglib (issue 290) searches for minutes then: this cell took longer than anyone waited."""
    rows = np.diag([3.320616, 3.320616, 7.203446])
    frac = np.array(
        [
            [4.99958823e-01, 1.43547294e-04, 2.49582457e-01],
            [9.99856453e-01, 4.99958823e-01, 2.49582457e-01],
            [9.99862167e-01, 1.37833239e-04, 4.99581634e-01],
            [0, 0, 0],
            [9.99958823e-01, 5.00143547e-01, 7.49582457e-01],
            [4.99856453e-01, 9.99958823e-01, 7.49582457e-01],
            [4.99862167e-01, 5.00137833e-01, 9.99581634e-01],
            [0.5, 0.5, 0.5],
        ]
    )
    cell = (rows, frac, np.array([4, 4, 4, 46, 4, 4, 4, 46]))
    start = time.monotonic()
    assert _exact(cell, 139, 1e-3) is None
    assert time.monotonic() - start < 5


def test_atoms_of_ase_and_single_atoms():
    assert str(find_scaffold(bulk("Cu"))) == "Fm-3m: Cu a"
    cell = Lattice.from_parameters(3, 4, 5, 70, 80, 95)
    assert str(find_scaffold(Structure(cell, ["Fe"], [[0.2, 0.3, 0.1]]))) == "P-1: Fe a"


def test_a_molecule_in_a_box():
    a = 0.629
    hydrogens = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * a
    methane = Structure(
        Lattice.cubic(12),
        ["C", *["H"] * 4],
        np.concatenate([np.zeros((1, 3)), hydrogens]) + 5,
        coords_are_cartesian=True,
    )
    assert str(find_scaffold(methane)) == "P-43m: H e, C a"


def test_hundreds_of_atoms():
    spinel = TEXTBOOK["Fd-3m: Mg a, Al d, O e"]
    larger = spinel.copy()
    larger.make_supercell(2)
    assert len(larger) == 448
    assert find_scaffold(larger) == find_scaffold(spinel)
    larger.remove_sites([0])
    assert find_scaffold(larger).num_atoms == 447


def altered(**changes):
    structure = RUTILE.copy()
    for site, species in changes.items():
        structure[int(site[1:])] = species
    return structure


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (altered(s0={"Ti": 0.5, "Zr": 0.5}), "disordered"),
        (altered(s0=DummySpecies("X")), "a species that is no element"),
        (Structure(Lattice.cubic(4), ["Na"], [[np.nan, 0, 0]]), "not finite"),
        (Structure(Lattice.cubic(4), ["Na", "Na"], [[0] * 3, [0] * 3]), "closer than 0.5 Å"),
        (Structure(Lattice.cubic(4), [], []), "no atoms"),
        (Structure(Lattice.cubic(0.1), ["H"], [[0] * 3]), "volume below"),
        (
            Structure(Lattice(4 * np.eye(3), pbc=(True, True, False)), ["H"], [[0] * 3]),
            "three axes are needed",
        ),
    ],
)
def test_structures_without_a_symmetry(structure, words):
    with pytest.raises(InputError, match=f"No symmetry can be found: .*{words}"):
        find_scaffold(structure)


def test_no_group_is_unknown_and_not_p1():
    noisy = RUTILE.copy()
    noisy.perturb(1e-5)
    with pytest.raises(InputError, match="the symmetry is unknown, which does not mean P1"):
        find_scaffold(noisy, 1e-8)


@pytest.mark.parametrize("symprec", [0.0, -0.1, 2.0, float("nan")])
def test_tolerances_that_make_no_sense(symprec):
    with pytest.raises(InputError, match="symprec must be a distance above 0 and at most 1 Å"):
        find_scaffold(RUTILE, symprec)
