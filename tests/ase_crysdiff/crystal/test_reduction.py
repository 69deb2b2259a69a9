import numpy as np
import pytest
from ase.build import bulk
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.reduction import (
    Cell,
    batch_of,
    niggli,
    primitive,
    reduced_cell,
    reduced_cells,
)
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes

CELLS = [
    [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[1, 1, 0], [-1, 1, 0], [0, 0, 1]],
    [[2, 1, 0], [0, 1, 1], [1, 0, 2]],
    [[3, 0, 0], [0, 2, 0], [0, 0, 1]],
]
SKEW = np.array([[1, 3, 0], [0, 1, -2], [0, 0, 1]])


def as_structure(cell):
    return Structure(Lattice(cell.lattice), cell.species, cell.frac_coords)


@pytest.mark.parametrize("name", prototypes())
@pytest.mark.parametrize("matrix", CELLS, ids=str)
def test_every_cell_of_a_crystal_is_reduced_to_the_same(name, matrix):
    """pymatgen's reduction is the twin: the same number of atoms, the same lattice, the same
    crystal.
    """
    plain = prototypes()[name]
    large = plain.copy()
    large.make_supercell(matrix)
    large.translate_sites(range(len(large)), [0.37, 0.11, 0.93])
    ours, twin = reduced_cell(large), plain.get_primitive_structure().get_reduced_structure()
    assert len(ours) == len(twin)
    assert np.allclose(sorted(as_structure(ours).lattice.abc), sorted(twin.lattice.abc), atol=1e-5)
    assert np.allclose(
        sorted(as_structure(ours).lattice.angles), sorted(twin.lattice.angles), atol=1e-3
    )
    assert StructureMatcher(
        ltol=1e-3, stol=1e-3, angle_tol=0.1, primitive_cell=False, scale=False
    ).fit(as_structure(ours), twin)
    assert ((ours.frac_coords >= 0) & (ours.frac_coords < 1)).all()


def test_a_distorted_supercell_is_a_crystal_of_its_own():
    """pymatgen's tolerance of 0.25 Å would undo the distortion."""
    doubled = prototypes()["NaCl"] * (2, 1, 1)
    doubled.translate_sites([0], [0.05, 0, 0], frac_coords=False)
    assert len(reduced_cell(doubled)) == 4
    doubled.translate_sites([0], [-0.0499, 0, 0], frac_coords=False)
    assert len(reduced_cell(doubled)) == 2


def test_images_are_averaged():
    chain = Cell(np.diag([4.0, 5.0, 6.0]), np.array([[0.0, 0, 0], [0.502, 0, 0]]), np.array([3, 3]))
    half = primitive(chain)
    assert len(half) == 1
    assert np.allclose(half.lattice[0] @ half.lattice[0], (0.502 * 4) ** 2, rtol=0.01)


def test_niggli_cells_keep_distances():
    skewed = prototypes()["chain"]
    frac_coords = (skewed.frac_coords @ np.linalg.inv(SKEW)) % 1
    cell = niggli(Cell(SKEW @ skewed.lattice.matrix, frac_coords, np.array(skewed.atomic_numbers)))
    assert np.allclose(as_structure(cell).distance_matrix, skewed.distance_matrix, atol=1e-6)


def test_atoms_are_taken_and_bad_entries_are_named():
    slab = bulk("Cu")
    slab.pbc = (True, True, False)
    crowded = Structure(Lattice.cubic(4), ["Cu", "Cu"], [[0, 0, 0], [0.05, 0, 0]])
    flat = Structure(Lattice([[4, 0, 0], [0, 4, 0], [4, 4, 1e-3]]), ["Cu"], [[0, 0, 0]])
    half = Structure(Lattice.cubic(4), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    cells, refused = reduced_cells([bulk("Cu", cubic=True), slab, None, crowded, flat, half, "Cu"])
    assert list(cells) == [0]
    assert len(cells[0]) == 1
    reasons = {
        1: "periodic along",
        2: "NoneType",
        3: "closer than",
        4: "Å³ per atom",
        5: "disordered",
        6: "str",
    }
    assert all(reason in refused[position] for position, reason in reasons.items()), refused
    assert len(batch_of(list(cells.values()))) == 1
    with pytest.raises(InputError):
        reduced_cell(42)
