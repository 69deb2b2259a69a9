"""Space groups and prototypes against what else is asked for."""

import re

import pytest

from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.symmetry_wishes import check_symmetry, possible_units
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold

TITANIA = CSP(((22, 1), (8, 2)))
RUTILE = Scaffold.parse("P4_2/mnm: Ti a, O f")
HEUSLER = Prototype.parse("Fm-3m a|b|c")
ALL = Capabilities(frozenset({CSP, DeNovo}), frozenset({"space_group", "prototype"}), max_atoms=20)


def refused(request: SampleRequest, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_symmetry(request, "toy", ALL)


def test_a_prototype_of_another_group_is_refused_with_both_groups() -> None:
    with pytest.raises(InputError, match=re.escape("P4_2/mnm (136)")) as error:
        SampleRequest(TITANIA, space_group=225, prototype=RUTILE)
    assert "Fm-3m (225)" in str(error.value)


def test_the_mirror_image_of_a_group_is_no_contradiction() -> None:
    assert SampleRequest(space_group=154, prototype=Prototype(152, ("a",))).symmetric


def test_a_prototype_holds_whole_formula_units() -> None:
    assert possible_units(SampleRequest(TITANIA, prototype=RUTILE), TITANIA, 20) == (2,)
    refused(SampleRequest(TITANIA, prototype=HEUSLER), "takes 3 different elements, TiO2 has 2")
    wrong = CSP(((22, 1), (8, 2)), formula_units=(1, 4))
    refused(SampleRequest(wrong, prototype=RUTILE), "2 formula units of TiO2 .*, not 1 or 4")


def test_a_group_names_the_formula_units_that_it_can_hold() -> None:
    request = SampleRequest(CSP(((22, 1), (8, 2)), formula_units=(1, 2, 3)), space_group=62)
    refused(request, "Pnma cannot hold 1 or 2 or 3 formula units of TiO2. It can hold 4 formula")
    assert possible_units(SampleRequest(TITANIA, space_group=62), TITANIA, 20) == (4,)
    seven = SampleRequest(CSP(((22, 1), (8, 2)), num_atoms=21), space_group=136)
    refused(seven, "cannot hold 7 formula units")


def test_cells_are_held_by_scaffolds_in_turn() -> None:
    cells = CSP(cells=(((22, 2), (8, 4)), ((11, 1), (17, 1))))
    salt = Scaffold.parse("Fm-3m: Na a, Cl b")
    check_symmetry(SampleRequest(cells, prototype=(RUTILE, salt)), "toy", ALL)
    refused(SampleRequest(cells, prototype=(salt, RUTILE)), "not 1|no whole number")


def test_numbers_of_atoms_and_elements_of_new_crystals() -> None:
    refused(SampleRequest(DeNovo(num_atoms=5), prototype=HEUSLER), "num_atoms asks for 5")
    two = DeNovo(chemical_system=frozenset({3, 8}))
    refused(SampleRequest(two, prototype=HEUSLER), "3 elements, the chemical system has 2")
    refused(SampleRequest(DeNovo(num_atoms=5), space_group=62), "Pnma cannot hold 5 atoms.* 4, 8")
    check_symmetry(SampleRequest(DeNovo(num_atoms=8), space_group=62), "toy", ALL)


def test_cells_beyond_the_limit_are_refused() -> None:
    large = Prototype(227, ("i", "i"))
    refused(SampleRequest(prototype=large), "holds at most 20")


@pytest.mark.parametrize("wish", [{"space_group": 225}, {"prototype": HEUSLER}])
def test_a_sampler_without_the_constraint_refuses(wish: dict) -> None:
    with pytest.raises(IncompatibleError, match=f"cannot keep a given {next(iter(wish))}"):
        check_symmetry(SampleRequest(**wish), "toy", Capabilities(frozenset({DeNovo})))


@pytest.mark.parametrize("wish", [{"space_group": 231}, {"prototype": ()}])
def test_nonsense_is_refused(wish: dict) -> None:
    with pytest.raises(InputError):
        SampleRequest(**wish)
