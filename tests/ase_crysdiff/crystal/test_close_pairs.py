"""Close pairs against pymatgen's, and in wide cells."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.close_pairs import close_pairs
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.testing.crystals import rattled


def ordered(first, second, distances):
    order = np.lexsort((distances.round(6), second, first))
    return first[order], second[order], distances[order]


@pytest.mark.parametrize("number", range(8))
def test_pairs_are_those_of_pymatgen(number):
    structure = rattled(8, deviation=0.2)[number]
    first, second, _, distances = structure.get_neighbor_list(4.0, exclude_self=True)
    expected = ordered(first, second, distances)
    found = ordered(*close_pairs(structure, 4.0))
    assert len(expected[0])
    assert (found[0] == expected[0]).all()
    assert (found[1] == expected[1]).all()
    np.testing.assert_allclose(found[2], expected[2], atol=1e-9)


@pytest.mark.parametrize(
    ("distance", "verdict"), [(0.4, "two atoms closer than 0.5 Å"), (2.0, None)]
)
def test_gate_of_a_wide_cell(distance, verdict):
    """pymatgen's search would ask for 27 GB here."""
    box = Structure(
        Lattice.cubic(1000), ["H", "H"], [[0, 0, 0], [distance, 0, 0]], coords_are_cartesian=True
    )
    assert gate(box) == verdict
