"""`energy_above_hull` as users call it."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.hull import Hull
from pymatgen_ext import energy_above_hull

TABLE = {"Cu": 0, "Au": 0, "CuAu": -0.05, "Cu3Au": -0.04}


def alloy() -> Structure:
    atoms = bulk("Cu", a=3.8, cubic=True)
    atoms.numbers[0] = 79
    return AseAtomsAdaptor.get_structure(atoms)


def element(symbol: str) -> Structure:
    return AseAtomsAdaptor.get_structure(bulk(symbol))


def test_a_hull_comes_from_a_table_a_mapping_or_structures(tmp_path):
    (tmp_path / "hull.csv").write_text(
        "reduced_formula,hull_energy_per_atom\n" + "".join(f"{f},{e}\n" for f, e in TABLE.items())
    )
    references = {"Cu": -0.1, "Au": 0.1}
    found = [
        energy_above_hull([alloy()], EMT(), hull, element_references=references)
        for hull in (TABLE, Hull(TABLE), tmp_path / "hull.csv", str(tmp_path / "hull.csv"))
    ]
    expected = found[0].energy[0] - (3 * -0.1 + 0.1) / 4 - -0.04
    assert [f.energy_above_hull[0] for f in found] == pytest.approx([expected] * 4)
    own = energy_above_hull([alloy(), element("Cu")], EMT(), [element("Cu"), element("Au")])
    relative = (
        EMT_energy(alloy()) - 0.75 * EMT_energy(element("Cu")) - 0.25 * EMT_energy(element("Au"))
    )
    assert own.energy_above_hull == pytest.approx([relative, 0], abs=1e-9)


def EMT_energy(structure: Structure) -> float:
    atoms = AseAtomsAdaptor.get_atoms(structure)
    atoms.calc = EMT()
    return atoms.get_potential_energy() / len(atoms)


def test_one_structure_and_mistakes():
    single = energy_above_hull(alloy(), EMT(), [element("Cu"), element("Au")])
    assert len(single) == 1
    partial = energy_above_hull([alloy(), None], EMT(), [element("Cu")])
    assert "no entry for the element Au" in partial.failures[0]
    assert np.isnan(partial.energy_above_hull).all()
    for wrong in (3, [], ["Cu"]):
        with pytest.raises(InputError, match="hull is 'shipped', a Hull, the path of a CSV file"):
            energy_above_hull(alloy(), EMT(), wrong)
    with pytest.raises(InputError, match="comes without reference energies"):
        energy_above_hull(alloy(), EMT(), TABLE)
    assert energy_above_hull([], EMT(), [element("Cu")]).energy_above_hull.shape == (0,)
