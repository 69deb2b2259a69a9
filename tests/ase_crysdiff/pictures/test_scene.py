"""What is seen of a crystal is what is there."""

import base64
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.pictures.crystals import drawing, image
from ase_crysdiff.pictures.scene import EDGES, MANY, Scene
from ase_crysdiff.pictures.typography import formula_html, formula_text, number
from ase_crysdiff.testing.crystals import prototypes


def joined(scene: Scene) -> set[tuple[int, int]]:
    """Pairs of atomic numbers that are joined."""
    return {tuple(sorted(int(z) for z in scene.numbers[pair])) for pair in scene.bonds}


@pytest.mark.parametrize("name", list(prototypes()))
def test_scenes_keep_distances_and_put_atoms_into_the_cell(name):
    structure = prototypes()[name]
    scene = Scene.of(structure)
    edges = sorted(float(np.linalg.norm(np.subtract(*scene.corners[[a, b]]))) for a, b in EDGES)
    assert edges == pytest.approx(sorted(4 * structure.lattice.abc))
    vectors = scene.corners[[4, 2, 1]] - scene.corners[0]
    assert np.linalg.det(vectors) == pytest.approx(np.linalg.det(structure.lattice.matrix))
    fractions = (scene.atoms - scene.corners[0]) @ np.linalg.inv(vectors)
    assert fractions.min() > -0.03
    assert fractions.max() < 1.03
    low, high = scene.extent
    assert (scene.atoms[:, :2] - scene.radii[:, None] >= low - 1e-9).all()
    assert (scene.corners[:, :2] <= high + 1e-9).all()


def test_perovskite_has_eight_corners_six_faces_and_no_bond_between_its_metals():
    scene = Scene.of(prototypes()["SrTiO3"])
    assert sorted(scene.numbers.tolist()) == [8] * 6 + [22] + [38] * 8
    assert joined(scene) == {(8, 22), (8, 38)}
    titanium = int(np.flatnonzero(scene.numbers == 22)[0])
    assert sum(titanium in pair for pair in scene.bonds) == 6


def test_metals_are_joined_where_there_is_nothing_else():
    assert joined(Scene.of(prototypes()["Cu"])) == {(29, 29)}


def test_hydrogen_is_a_molecule():
    pair = Structure(Lattice.cubic(5.0), ["H", "H"], [[0.4, 0.5, 0.5], [0.55, 0.5, 0.5]])
    assert Scene.of(pair).bonds.tolist() == [[0, 1]]


def test_large_cells_have_no_copies_and_no_bonds():
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
    )
    large = salt * (2, 2, 2)
    assert len(large) > MANY
    scene = Scene.of(large)
    assert len(scene.atoms) == len(large)
    assert scene.bonds.shape == (0, 2)


def test_atoms_that_round_to_the_far_face_are_on_the_near_one():
    lattice = Lattice.cubic(3.0)
    near, far = (Structure(lattice, ["Po"], [[x, 0.5, 0.5]]) for x in (0.0, 1 - 1e-9))
    assert Scene.of(near).atoms == pytest.approx(Scene.of(far).atoms, abs=1e-6)
    assert len(Scene.of(near).atoms) == 2


def test_an_image_needs_no_style_sheet_and_escapes_its_label():
    found = image(prototypes()["NaCl"], '"><script>', 80)
    assert "<script" not in found
    assert 'width="80"' in found
    data = re.search(r"base64,([^\"]+)", found)[1]
    root = ElementTree.fromstring(base64.b64decode(data))
    style = root.find("{http://www.w3.org/2000/svg}style")
    classes = {c for e in root.iter() for c in e.get("class", "").split()} - {"crystal"}
    assert classes
    assert all(f".{c}{{" in style.text for c in classes)


def test_drawings_of_one_crystal_are_the_same():
    structure = prototypes()["MoS2"]
    assert drawing(structure, "x") == drawing(structure.copy(), "x")


def test_formulas_and_numbers():
    assert formula_text("Li3Fe2(PO4)3") == "Li₃Fe₂(PO₄)₃"
    assert formula_html("H2<O0.5") == "H<sub>2</sub>&lt;O<sub>0.5</sub>"
    assert number(-0.5) == "\N{MINUS SIGN}0.5"
