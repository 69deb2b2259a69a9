"""One judge of what is physical: every limit, and the same verdict in every cell."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.constants import COMPUTABLE, DRAWN, GATE, PHYSICAL
from ase_crysdiff.crystal.soundness import structure_unsound, unsound


def crystal(a=4.2, x=0.5, species=("Mg", "O")):
    return Structure(Lattice.cubic(a), species, [[0, 0, 0], [x, 0.5, 0.5]])


CASES = [
    (crystal(), PHYSICAL, None),
    (crystal(1.2), COMPUTABLE, "less than 1 Å³ per atom"),
    (crystal(1.5), COMPUTABLE, None),
    (crystal(1.5), DRAWN, "volume outside 3-200 Å³ per atom"),
    (crystal(9.0), DRAWN, "volume outside 3-200 Å³ per atom"),
    (crystal(9.0), GATE, None),
    (Structure(Lattice.tetragonal(40, 0.4), ["Mg"], [[0, 0, 0]]), GATE, "cell thinner than 0.5 Å"),
    (Structure(Lattice.cubic(0.6), ["Mg"], [[0, 0, 0]]), GATE, None),
    (Structure(Lattice.cubic(0.4), ["Mg"], [[0, 0, 0]]), GATE, "volume below 0.1 Å³"),
    (
        Structure(Lattice.cubic(4), ["Mg", "O"], [[0, 0, 0], [0.1, 0, 0]]),
        GATE,
        "two atoms closer than 0.5 Å",
    ),
    (
        Structure(Lattice.cubic(4), ["Mg", "O"], [[0, 0, 0], [0.28, 0, 0]]),
        PHYSICAL,
        "two atoms closer than 0.6 of the sum of their covalent radii",
    ),
    (Structure(Lattice.cubic(4), ["Mg", "O"], [[0, 0, 0], [0.28, 0, 0]]), DRAWN, None),
]


@pytest.mark.parametrize(("structure", "limits", "reason"), CASES)
def test_limits(structure, limits, reason):
    assert structure_unsound(structure, limits) == reason


@pytest.mark.parametrize("matrix", [np.diag([3, 2, 1]), [[1, 0, 0], [7, 1, 0], [-5, 9, 1]]])
@pytest.mark.parametrize(("structure", "limits", "reason"), CASES)
def test_verdicts_do_not_depend_on_the_cell(structure, limits, reason, matrix):
    if reason == "volume below 0.1 Å³":
        pytest.skip("the volume of a cell is a limit of the code that reads it")
    other = structure.copy()
    other.make_supercell(matrix)
    assert structure_unsound(other, limits) == reason


def test_what_is_no_crystal_is_named():
    nothing = np.zeros((0, 3)), np.zeros(0, dtype=np.int64)
    assert unsound(np.eye(3), *nothing, GATE) == "no atoms"
    atom = np.zeros((1, 3)), np.array([12])
    assert unsound(np.full((3, 3), np.nan), *atom, GATE) == "not finite"
    assert unsound(np.eye(3) * 4, atom[0] * np.nan, atom[1], GATE) == "not finite"


def test_a_thousand_atoms_cost_pairs_in_proportion(monkeypatch):
    """The verdict looks at neighbours only: nothing of the size of all pairs is made."""
    import ase_crysdiff.crystal.soundness as room

    seen = []
    search = room.pairs_within

    def counted(*given):
        found = search(*given)
        seen.append(len(found[0]))
        return found

    monkeypatch.setattr(room, "pairs_within", counted)
    cell = crystal(4.2)
    assert structure_unsound(cell * (8, 8, 8), PHYSICAL) is None
    assert seen[-1] <= 20 * 1024
