"""Frameworks are cut where they should be, and put together again exactly."""

import numpy as np
import pytest
from framework_toys import PYRAZINE, cell_of, pyrazine_cube
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.reduction import Cell, niggli
from ase_crysdiff.errors import InputError
from ase_crysdiff.frameworks.blocks import BuildingBlock
from ase_crysdiff.frameworks.cutting import cut


def largest_shift(found, cell):
    away = found.frac_coords - cell.frac_coords
    return np.abs((away - np.rint(away)) @ cell.lattice).max()


def test_a_cube_is_a_metal_and_three_linkers():
    cell = cell_of(pyrazine_cube())
    found = cut(cell)
    assert sorted(len(block) for block in found.blocks) == [1, 10, 10, 10]
    assert len(set(found.kinds.tolist())) == 2
    assert found.species.tolist() == cell.species.tolist()
    assert largest_shift(found, cell) < 1e-10


def test_like_blocks_have_like_frames_and_their_symmetries():
    found = cut(cell_of(pyrazine_cube()))
    linkers = [i for i, block in enumerate(found.blocks) if len(block) == 10]
    first = found.blocks[linkers[0]]
    for i in linkers:
        assert found.kinds[i] == linkers[0]
        gaps = np.linalg.norm(found.blocks[i].positions[:, None] - first.positions, axis=-1)
        assert gaps.min(1).max() < 1e-8
        assert len(found.symmetries[i]) == 4  # D2h has four rotations
        for turn in found.symmetries[i]:
            turned = first.positions @ turn.T
            assert np.linalg.norm(turned[:, None] - first.positions, axis=-1).min(1).max() < 1e-8


def test_a_supercell_and_atoms_beyond_the_borders_change_nothing():
    cube = pyrazine_cube()
    cube.translate_sites(range(len(cube)), [0.37, 0.61, 0.93])
    cell = cell_of(cube)
    found = cut(cell)
    assert sorted(len(block) for block in found.blocks) == [1, 10, 10, 10]
    assert largest_shift(found, cell) < 1e-10
    double = cut(cell_of(cube * (2, 1, 1)))
    assert len(double.blocks) == 8


def test_a_rod_of_metals_and_oxygen_is_cut_at_its_metals():
    ring, edge = PYRAZINE.cart_coords, 9.0  # rings that do not touch
    places = [[[0, 0, 0]], [[0, 0, 1.85]], ring + np.array([edge / 2, 0, 0])]
    places.append(ring[:, [1, 0, 2]] + [0, edge / 2, 0])
    symbols = [site.specie.symbol for site in PYRAZINE]
    rods = Structure(
        Lattice.orthorhombic(edge, edge, 3.7),
        ["Zn", "O", *symbols, *symbols],
        np.concatenate(places),
        coords_are_cartesian=True,
    )
    found = cut(cell_of(rods))
    assert sorted(len(block) for block in found.blocks) == [1, 1, 10, 10]
    assert largest_shift(found, cell_of(rods)) < 1e-10


def test_water_on_a_metal_belongs_to_the_node():
    cube = pyrazine_cube(edge=9.0)
    cube.append("O", [1.1 / 9] * 3)
    sizes = sorted(len(block) for block in cut(cell_of(cube)).blocks)
    assert 2 in sizes


REFUSED = {
    "no metal": (Structure(Lattice.cubic(8), ["C", "O"], [[0, 0, 0], [1.2 / 8, 0, 0]]), "no metal"),
    "a linker without end": (
        Structure(
            Lattice.orthorhombic(2.5, 6.0, 6.0),
            ["C", "C", "Zn"],
            [[0, 0.05, 0], [0.5, 0.2, 0], [0.25, 0.6, 0.5]],
        ),
        "no end",
    ),
    "one block": (
        Structure(Lattice.cubic(9), ["Zn", "O"], [[0, 0, 0], [1.9 / 9, 0, 0]]),
        "one building block",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_cut_is_refused(name):
    structure, words = REFUSED[name]
    with pytest.raises(InputError, match=words):
        cut(cell_of(structure))


BAD_BLOCKS = {
    "no atoms": ([], np.zeros((0, 3)), "no atoms"),
    "overlapping atoms": ([6, 6], [[0, 0, 0], [0.1, 0, 0]], "overlap"),
    "an unknown element": ([104], [[0, 0, 0]], "atomic number 104"),
    "a place that is none": ([6], [[np.nan, 0, 0]], "not finite"),
    "too few places": ([6, 8], [[0, 0, 0, 0, 0, 0]], "positions"),
}


@pytest.mark.parametrize("name", BAD_BLOCKS)
def test_bad_blocks_are_refused(name):
    species, positions, words = BAD_BLOCKS[name]
    with pytest.raises(InputError, match=words):
        BuildingBlock.of(np.array(species, dtype=np.int64), np.array(positions, dtype=float))


@pytest.mark.data
def test_measured_frameworks_are_put_together_exactly(data):
    arrays = dict(np.load(data / "mofs" / "core_mof_val.npz"))
    ends = arrays["num_atoms"].astype(int).cumsum()
    cuts = 0
    for k in range(40):
        own = slice(ends[k] - int(arrays["num_atoms"][k]), ends[k])
        cell = niggli(
            Cell(
                arrays["lattice"][k].astype(float),
                arrays["frac_coords"][own].astype(float) % 1.0,
                arrays["atomic_numbers"][own].astype(np.int64),
            )
        )
        try:
            found = cut(cell, symmetries=False)
        except InputError:
            continue
        cuts += 1
        assert found.species.tolist() == cell.species.tolist()
        assert largest_shift(found, cell) < 1e-9
    assert cuts >= 38
