"""A user's cell and the cell that crystals are drawn in."""

import numpy as np
import pytest

from pymatgen_ext.cells import CellMap

CELLS = {
    # Two edges of one length: lengths and angles fit a mirror image, too.
    "mirrored by its parameters": 8 * np.eye(3) + 0.5 * np.eye(3, k=1),
    "left-handed": -8 * np.eye(3) + 0.5 * np.eye(3, k=1),
    "face-centred": 2.1 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    "skewed": np.array([[1, 0, 0], [3, 1, 0], [-2, 1, 1]]) @ np.diag([3.0, 4.1, 5.2]),
    "triclinic": np.array([[4.1, 0.3, -0.2], [1.9, 5.3, 0.4], [-1.2, 2.1, 6.6]]),
}


@pytest.mark.parametrize("name", CELLS)
def test_both_are_cells_of_one_lattice(name):
    found = CellMap.of(CELLS[name])
    assert np.abs(found.matrix @ found.niggli.matrix - CELLS[name]).max() < 1e-6
    assert abs(round(np.linalg.det(found.matrix))) == 1
