"""Close pairs, by pymatgen and, in wide cells, without its memory."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal import close_pairs as pairs
from ase_crysdiff.crystal.close_pairs import close_pairs
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.testing.crystals import rattled


def ordered(found):
    first, second, distances = found
    order = np.lexsort((distances.round(6), second, first))
    return first[order], second[order], distances[order]


@pytest.mark.parametrize("number", range(8))
def test_both_ways_find_the_same_pairs(number, monkeypatch):
    structure = rattled(8, deviation=0.2)[number]
    expected = ordered(close_pairs(structure, 4.0))
    monkeypatch.setattr(pairs, "_MAX_CUBES", 0)
    found = ordered(close_pairs(structure, 4.0))
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
