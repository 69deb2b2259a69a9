"""What a file keeps of a structure, and that it comes back when the file is read."""

import os

import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import ROLE, atoms_to_structure, structure_to_atoms
from ase_crysdiff.data.readers import read_records
from ase_crysdiff.data.writing import write
from ase_crysdiff.sampling.sample_set import Report, SampleSet


def filled() -> Structure:
    """A host of titanium and oxygen with a guest in the middle of its sites."""
    return Structure(
        Lattice.from_parameters(4.1, 4.7, 5.2, 88, 95, 101),
        ["O", "Li", "Ti", "O"],
        [[0.0, 0.0, 0.0], [0.5, 0.5, 0.4], [0.25, 0.7, 0.7], [0.6, 0.1, 0.8]],
        site_properties={ROLE: ["host", "guest", "host", "host"]},
        properties={"crysdiff_index": 3, "crysdiff_sampler": "chggen"},
    )


def roles(structure: Structure) -> list[tuple[str, str]]:
    return [(site.specie.symbol, site.properties[ROLE]) for site in structure]


EXPECTED = [("Li", "guest"), ("O", "host"), ("O", "host"), ("Ti", "host")]


def test_atoms_keep_roles_and_origin():
    report = Report("chggen", "", 0, 1, 1, 0, {}, {}, None, 0.0)
    (atoms,) = SampleSet([filled()], report).to_atoms()
    assert atoms.arrays[ROLE].tolist() == ["host", "guest", "host", "host"]
    assert atoms.info == {"crysdiff_index": 3, "crysdiff_sampler": "chggen"}
    assert atoms.pbc.all()
    again = atoms_to_structure(atoms)
    assert again.site_properties == filled().site_properties
    assert again.properties == filled().properties
    np.testing.assert_allclose(again.frac_coords, filled().frac_coords, atol=1e-12)


@pytest.mark.parametrize("name", ["a.extxyz", "a.db", "a.json", "a.csv", "folder"])
def test_every_kind_of_file_is_forced_to_disk(name, tmp_path, monkeypatch):
    forced = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (forced.append(os.fstat(file).st_ino), fsync(file))
    )
    path = write([filled()], {}, tmp_path / name)
    (file,) = path.iterdir() if path.is_dir() else [path]
    assert file.stat().st_ino in forced
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.extxyz", "a.db", "a.json", "folder"])
def test_roles_come_back_from_every_kind_of_file(name, tmp_path):
    bare = Structure(Lattice.cubic(4.2), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    write([filled(), bare], {}, tmp_path / name)
    structures = [record.load() for record in read_records(tmp_path / name)]
    found = {s.composition.reduced_formula: s for s in structures}
    assert sorted(roles(found["LiTiO2"])) == EXPECTED
    assert ROLE not in found["NaCl"].site_properties
    if name != "folder":
        assert found["LiTiO2"].properties["crysdiff_sampler"] == "chggen"


@pytest.mark.parametrize("name", ["a.extxyz", "a.db", "a.json", "folder"])
def test_what_is_written_stays_as_it_is(name, tmp_path):
    given = filled()
    labels = {"crysdiff_energy": -1.0, "crysdiff_stress": np.eye(3).tolist(), "crysdiff_remark": ""}
    given.properties |= labels
    given.add_site_property("crysdiff_forces", [[0.0, 0.0, 0.1]] * len(given))
    before = given.as_dict()
    write([given], {}, tmp_path / name)
    structure_to_atoms(given).info["crysdiff_stress"][0][0] = 5.0
    assert given.as_dict() == before


def test_roles_in_a_cif_file_stay_with_their_sites(tmp_path):
    write([filled()], {}, tmp_path / "one")
    (file,) = (tmp_path / "one").glob("*.cif")
    (record,) = read_records(file)
    lithium = next(site for site in record.load() if site.specie.symbol == "Li")
    assert lithium.properties[ROLE] == "guest"
    assert "Ti2" in file.read_text()
    file.write_text(file.read_text().replace("Ti2", "Li1"))
    (record,) = read_records(file)  # whatever the labels
    roles = {site.specie.symbol: site.properties[ROLE] for site in record.load()}
    assert roles == {"Li": "guest", "Ti": "host", "O": "host"}


def test_magnetic_moments_constraints_and_oxidation_states_go_both_ways():
    given = filled()
    given.add_site_property("magmom", [0.0, 0.0, 1.5, 0.0])
    given.add_site_property("selective_dynamics", [[True] * 3, [False] * 3, [True] * 3, [True] * 3])
    given.add_oxidation_state_by_element({"Li": 1, "Ti": 3, "O": -2})
    atoms = structure_to_atoms(given)
    assert atoms.get_initial_magnetic_moments()[2] == 1.5
    assert isinstance(atoms.constraints[0], FixAtoms)
    again = atoms_to_structure(atoms)
    assert again.site_properties["magmom"] == [0.0, 0.0, 1.5, 0.0]
    assert again.site_properties["selective_dynamics"][1] == [False] * 3
    assert [str(site.specie) for site in again] == ["O2-", "Li+", "Ti3+", "O2-"]


def test_what_no_array_can_hold_is_left_out_and_costs_nothing_else(tmp_path):
    given = filled()
    given.add_site_property("magmom", [0.0, None, 1.5, 0.0])
    given.add_site_property("neighbours", [[1], [1, 2], [], [3]])
    given.add_site_property("remark", ["a guest", "", "x", "y"])
    given.replace(0, "O2-", properties=given[0].properties)
    atoms = structure_to_atoms(given)
    assert set(atoms.arrays) == {"numbers", "positions", ROLE, "remark"}
    path = write([given], {}, tmp_path / "a.extxyz")
    assert set(ase.io.read(path).arrays) == {"numbers", "positions", ROLE}


def test_calculators_stay_behind_and_arrays_in_info_become_lists():
    atoms = structure_to_atoms(filled())
    atoms.calc = EMT()
    atoms.info["weights"] = np.array([0.5, 1.0])
    structure = atoms_to_structure(atoms)
    assert getattr(structure, "calc", None) is None
    assert structure.properties["weights"] == [0.5, 1.0]
    assert isinstance(atoms.info["weights"], np.ndarray)
    assert atoms.calc is not None
