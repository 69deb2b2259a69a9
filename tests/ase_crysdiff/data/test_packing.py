"""Crystals that are learnt from go through the reduction of those that are predicted, here or in
several processes.
"""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.reduction import reduced_cell
from ase_crysdiff.data.packing import pack, prepare
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes


@pytest.mark.parametrize("name", sorted(prototypes()))
@pytest.mark.parametrize(
    "matrix", [np.eye(3), np.diag([2, 1, 1]), [[1, 1, 0], [0, 1, 3], [0, 0, 1]]]
)
def test_training_and_prediction_see_the_same_cell(name, matrix):
    given = prototypes()[name].copy()
    given.make_supercell(matrix)
    packed, predicted = prepare(given, 400, primitive=True), reduced_cell(given)
    np.testing.assert_array_equal(packed.lattice.matrix, predicted.lattice)
    np.testing.assert_array_equal(packed.frac_coords, predicted.frac_coords)
    assert [site.specie.Z for site in packed] == predicted.species.tolist()


def test_what_cannot_be_learnt_from_is_named():
    close = Structure(Lattice.cubic(4), ["Mg", "O"], [[0, 0, 0], [0.1, 0, 0]])
    with pytest.raises(InputError, match="two atoms closer than 0.5 Å"):
        prepare(close, 52)
    with pytest.raises(InputError, match="less than 1 Å³ per atom"):
        prepare(Structure(Lattice.cubic(0.9), ["Mg"], [[0, 0, 0]]), 52)
    with pytest.raises(InputError, match="more than 3 atoms"):
        prepare(Structure(Lattice.cubic(4), ["Mg"], [[0, 0, 0]]) * (2, 2, 1), 3)


def test_processes_pack_the_same(tmp_path):
    for name, crystal in prototypes().items():
        crystal.to(str(tmp_path / f"{name}.cif"))
    (tmp_path / "broken.cif").write_text("data_broken\n_cell_length_a 4\n")
    large = prototypes()["NaCl"].copy()
    large.make_supercell(3)
    large.to(str(tmp_path / "large.cif"))
    ways = [pack([tmp_path], symmetry=True, workers=n, progress=False) for n in (0, 2)]
    (here, told), (there, told_there) = ways
    assert here.names == there.names
    assert here.digest == there.digest
    assert len(here) == len(prototypes())
    assert told == told_there
    assert {name for name, _ in told.skipped} == {"broken", "large"}
