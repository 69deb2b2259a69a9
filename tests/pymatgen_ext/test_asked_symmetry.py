"""Space groups and prototypes asked of samplers: every draw has its group, nothing else changes."""

import numpy as np
import pytest
from pymatgen.core import Composition, Element, Lattice

from ase_crysdiff.conditions.closest_approach import ClosestApproach
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.crystal import operations_of_scaffold
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.testing.crystals import prototypes

ROCK_SALT = prototypes()["NaCl"]


def sample(sampler, count=3, **wishes):
    return sampler.sample(count, **{"seed": 0, "redraws": 60, "progress": False} | wishes)


def check(structure):
    """It has the operations of its scaffold at 1e-3 Å, and its atoms: by element, site after site,
    elements in the order of structures.
    """
    scaffold = Scaffold.parse(structure.properties["crysdiff_scaffold"])
    assert structure.properties["crysdiff_space_group"] == scaffold.space_group.symbol
    elements = [Element.from_Z(z).mendeleev_no for z in scaffold.species.tolist()]
    order = np.argsort(elements, kind="stable").tolist()
    operations = operations_of_scaffold(scaffold).in_order(order)
    assert operations.deviation(structure.frac_coords, structure.lattice.matrix) < 1e-3
    counts = {Element.from_Z(z).symbol: count for z, count in scaffold.counts.items()}
    assert structure.composition == Composition(counts)
    return scaffold


@pytest.mark.parametrize(
    "group", [2, 5, 12, 38, 44, 63, 99, 139, 146, 160, 166, 187, 194, 216, 225]
)
def test_every_draw_of_a_composition_has_its_group(csp, group):
    for s in sample(csp, 2, composition="NaCl2", formula_units=(1, 2), space_group=group):
        assert check(s).group == group
        assert s.composition.reduced_formula == "NaCl2"


@pytest.mark.parametrize("group", [2, 8, 44, 62, 123, 146, 166, 186, 191, 216, 221, 225])
def test_every_draw_from_nothing_has_its_group(miad, group):
    found = sample(miad, 2, space_group=group)
    assert len(found) == 2
    for s in found:
        assert check(s).group == group


def test_prototypes_take_the_elements_of_the_composition(csp):
    for text in ("Fm-3m a|b", "Fm-3m: Mg a, O b"):
        found = sample(csp, 8, composition="NaCl", prototype=text)
        scaffolds = {str(check(s)) for s in found}
        assert scaffolds == {"Fm-3m: Na a, Cl b", "Fm-3m: Na b, Cl a"}
    kept = sample(csp, 4, composition="NaCl", prototype=ROCK_SALT)
    assert len({s.properties["crysdiff_scaffold"] for s in kept}) == 1
    half = sample(csp, 4, composition="MgS", prototype="Fm-3m: Mg a, O b")
    assert {s.properties["crysdiff_scaffold"] for s in half} == {"Fm-3m: Mg a, S b"}


def test_elements_of_a_prototype_are_drawn_and_differ(miad):
    for s in sample(miad, 4, prototype="Pm-3m a|b|c"):
        assert len(check(s).counts) == 3
    found = sample(miad, 4, prototype="Pm-3m a|b|c", elements="Na-Cl-O", redraws=0)
    assert len(found) == 4
    assert {s.composition.chemical_system for s in found} == {"Cl-Na-O"}
    for s in sample(miad, 2, prototype="Fm-3m a|b", chemical_system="Na-Cl"):
        assert s.composition.chemical_system == "Cl-Na"


def test_batches_change_nothing(miad, csp):
    for sampler, wishes in (
        (miad, {"space_group": 166}),
        (csp, {"composition": "NaCl2", "space_group": "R-3m"}),
    ):
        one = sample(sampler, 5, **wishes)
        assert list(one) == list(sample(sampler, 5, batch_size=2, **wishes))
        assert list(one) != list(sample(sampler, 5, **wishes, seed=1))


def test_a_request_without_symmetry_is_what_it_was(csp):
    plain = sample(csp, 3, composition="NaCl")
    assert list(plain) == list(sample(csp, 3, composition="NaCl", prototype=False))
    assert "crysdiff_scaffold" not in plain[0].properties


def test_other_conditions_leave_the_symmetry_alone(csp):
    for s in sample(csp, composition="NaCl2", space_group=12, conditions=ClosestApproach(0.9)):
        check(s)


def test_a_given_cell_is_kept_in_its_own_setting(csp):
    cube = Lattice.cubic(4.1)
    cell = Lattice([[1, 1, 0], [0, 1, 0], [0, 0, -1]] @ cube.matrix)
    (found,) = sample(csp, 1, composition="NaCl3", lattice=cell, space_group=221, formula_units=1)
    np.testing.assert_allclose(found.lattice.matrix, cell.matrix, atol=1e-9)
    assert find_symmetric(found, 1e-3).scaffold.group == 221
    with pytest.raises(InputError, match="The lattice contradicts Fm-3m"):
        sample(csp, composition="NaCl", lattice=Lattice.tetragonal(4.1, 4.5), space_group=225)


@pytest.mark.parametrize(
    ("group", "cell"),
    [
        (225, Lattice.cubic(5.6)),
        (139, Lattice.tetragonal(3.8, 7.4)),
        (139, Lattice.orthorhombic(7.4, 3.8, 3.8)),
        (166, Lattice.hexagonal(4.2, 10.0)),
    ],
)
def test_a_conventional_cell_is_kept(csp, group, cell):
    points = {225: 4, 139: 2, 166: 3}[group]
    for units in ("auto", points):
        (found,) = sample(
            csp, 1, composition="NaCl", lattice=cell, space_group=group, formula_units=units
        )
        np.testing.assert_allclose(found.lattice.matrix, cell.matrix, atol=1e-9)
        assert find_symmetric(found, 1e-3).scaffold.group >= group
        assert len(found) % (2 * points) == 0
    with pytest.raises(InputError, match=f"must be a multiple of {points}, got 1"):
        sample(csp, 1, composition="NaCl", lattice=cell, space_group=group, formula_units=1)


def test_what_cannot_be_is_refused_with_what_could(csp, miad):
    with pytest.raises(InputError, match="cannot hold NaCl2"):
        sample(csp, composition="NaCl2", space_group=230)
    with pytest.raises(InputError, match=r"Pm-3m \(221\).*Fm-3m \(225\)"):
        sample(csp, composition="NaCl", space_group=225, prototype="Pm-3m a|b")
    with pytest.raises(InputError, match="takes 3 different elements, only 2 may occur"):
        miad.sample(1, prototype="Pm-3m a|b|c", elements="Na-Cl")
    with pytest.raises(InputError, match="no Wyckoff position 'z'"):
        sample(miad, prototype="Fm-3m a|z")
    with pytest.raises(InputError, match="occupied once"):
        sample(miad, prototype="Fm-3m a|a")
    with pytest.raises(InputError, match="Similar"):
        sample(miad, space_group="Fm-3n")
