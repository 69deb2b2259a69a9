"""`MoleculeSampler` on the shipped weights: from a name to molecules, files and errors."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read
from monty.serialization import dumpfn, loadfn
from pymatgen.core import Molecule

from ase_crysdiff.errors import InputError, UnknownNameError
from pymatgen_ext import MoleculeSampler, MoleculeSet
from pymatgen_ext.molecules import available_molecule_samplers


@pytest.fixture(scope="module")
def geobfn():
    return MoleculeSampler("geobfn", device="cpu")


@pytest.fixture(scope="module")
def drawn(geobfn):
    return geobfn.sample(6, seed=1, steps=25)


def test_it_is_found_by_its_name(tmp_path):
    assert "geobfn" in available_molecule_samplers()
    with pytest.raises(UnknownNameError):
        MoleculeSampler("miad")
    dumpfn(MoleculeSampler("geobfn"), tmp_path / "sampler.json")
    assert repr(loadfn(tmp_path / "sampler.json")) == repr(MoleculeSampler("geobfn"))


def test_free_draws_are_mostly_molecules(drawn):
    assert len(drawn) == 6
    assert all(isinstance(m, Molecule) for m in drawn)
    table = drawn.to_dataframe()
    assert table["stable_atoms"].sum() / table["atoms"].sum() > 0.75
    assert table["crysdiff_index"].tolist() == list(range(6))
    assert "6 of 6 molecules by geobfn (seed 1)" in str(drawn.report)


def test_a_formula_is_kept(geobfn):
    found = geobfn.sample(3, composition="C7H10O2", seed=0, steps=15)
    assert set(found.to_dataframe()["formula"]) == {"C7H10O2"}
    assert len({m.cart_coords.tobytes() for m in found}) == 3


def test_a_wished_gap_chooses_the_groups(geobfn):
    """Saturated molecules have wide gaps, and rings with many double bonds narrow ones."""
    hydrogens = []
    for gap in (4.0, 9.0):
        found = geobfn.sample(24, properties={"gap": gap}, steps=4, seed=0, redraws=20)
        hydrogens.append(np.mean([m.composition.get_atomic_fraction("H") for m in found]))
    assert hydrogens[1] > hydrogens[0] + 0.1


def test_the_network_hears_a_wish_too(geobfn):
    plain = geobfn.sample(2, composition="C7H10O2", steps=8, seed=0, redraws=20)
    told = [
        geobfn.sample(
            2, composition="C7H10O2", properties=own, steps=8, seed=0, redraws=20, batch_size=size
        )
        for own, size in (({"dipole": 3.0}, 2), ({"dipole": 3.0}, 1))
    ]
    for a, b, c in zip(plain, *told, strict=True):
        assert np.array_equal(b.cart_coords, c.cart_coords)
        assert not np.array_equal(a.cart_coords, b.cart_coords)


def test_slices_and_sums(drawn):
    part = drawn[1:3]
    assert isinstance(part, MoleculeSet)
    assert [m.properties["crysdiff_index"] for m in part] == [1, 2]
    assert len(part + drawn[:1]) == 3
    assert all(drawn.stable.to_dataframe()["stable"])


def test_files(drawn, tmp_path):
    folder = drawn.write(tmp_path / "molecules")
    files = sorted(folder.glob("*.xyz"))
    assert len(files) == 6
    assert files[2].name.startswith("0002-")
    assert np.allclose(read(files[2]).positions, drawn[2].cart_coords, atol=1e-6)
    frames = read(drawn.write(tmp_path / "all.extxyz"), ":")
    assert [len(a) for a in frames] == [len(m) for m in drawn]
    assert not any(a.pbc.any() for a in frames)
    assert len(read(drawn.write(tmp_path / "all.xyz"), ":")) == 6
    assert len(pd.read_csv(drawn.write(tmp_path / "all.csv"))) == 6
    sdf = drawn.write(tmp_path / "all.sdf").read_text()
    assert sdf.count("$$$$") == sdf.count("M  END") == 6
    again = loadfn(drawn.write(tmp_path / "all.json"))
    assert isinstance(again, MoleculeSet)
    assert again[3] == drawn[3]
    with pytest.raises(InputError, match=r"\.sdf"):
        drawn.write(tmp_path / "all.cif")


def test_atoms_and_pictures(drawn):
    atoms = drawn.to_atoms()
    assert all(isinstance(a, Atoms) for a in atoms)
    assert atoms[0].info["crysdiff_sampler"] == "geobfn"
    html = drawn._repr_html_()
    assert html.count("<img") == 6
    assert len(drawn.plot(columns=4).axes) == 8
    with pytest.raises(InputError, match="no molecules"):
        drawn[:0].plot()


def test_molfiles_are_read_by_rdkit(drawn):
    chem = pytest.importorskip("rdkit.Chem")
    from ase_crysdiff.data.writing_molecules import molfile

    for own in drawn.stable:
        found = chem.MolFromMolBlock(molfile(own), removeHs=False)
        assert found is not None
        assert found.GetNumAtoms() == len(own)


def test_a_fragment_is_completed(geobfn):
    phenyl = molecule("C6H6")
    del phenyl[[int(np.flatnonzero(phenyl.numbers == 1)[0])]]
    found = geobfn.complete(phenyl, "COH3", num_samples=2, seed=0, steps=15)
    for whole in found:
        assert whole.composition.hill_formula == "C7 H8 O"
        assert whole.site_properties["crysdiff_role"] == ["host"] * 11 + ["guest"] * 5
        kept = whole.cart_coords[:11]
        nearest = np.linalg.norm(kept[:, None] - phenyl.positions[None], axis=-1).min(1)
        assert nearest.max() < 1e-4


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"composition": "C6H5"}, "radical"),
        ({"composition": "NH4+"}, "without charges"),
        ({"composition": {"Na+": 1, "C": 1}}, "charge"),
        ({"composition": "C2H5Cl"}, "does not know Cl"),
        ({"composition": "CH6"}, "more than the others can bind"),
        ({"composition": "C20H42"}, "holds at most 29"),
        ({"composition": "H2"}, "no heavy atom"),
        ({"composition": "CH4", "num_atoms": 9}, "contradicts"),
        ({"composition": "CH4", "elements": "C-O"}, "contradicts"),
        ({"num_atoms": 0}, "num_atoms"),
        ({"elements": "Fe"}, "does not know Fe"),
        ({"properties": {"homo": -6.0}}, "not conditioned"),
        ({"steps": 0}, "steps"),
    ],
)
def test_bad_wishes(geobfn, wish, message):
    with pytest.raises(InputError, match=message):
        geobfn.sample(1, **wish)


@pytest.mark.parametrize(
    ("fragment", "add", "message"),
    [
        (Molecule(["C", "H"], [[0, 0, 0], [0, 0, 9]]), "CH3", "within 1.5"),
        (Molecule(["O", "H"], [[0, 0, 0], [0, 0, 1]], charge=-1), "CH3", "charge of -1"),
        (Atoms("CH", np.eye(2, 3), pbc=True, cell=np.eye(3)), "CH3", "periodic"),
        (Atoms(), "CH3", "no atoms"),
        ("CCO", "CH3", "Molecule or ASE Atoms"),
    ],
)
def test_bad_fragments(geobfn, fragment, add, message):
    with pytest.raises(InputError, match=message):
        geobfn.complete(fragment, add)
