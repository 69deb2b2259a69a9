"""Scaffolds and prototypes: their text, their order, and one description for one arrangement."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, space_group

RUTILE = Scaffold(136, ((8, "f"), (22, "a")))


@st.composite
def scaffolds(draw):
    group = space_group(draw(st.integers(1, 230)))
    letters = draw(
        st.lists(st.sampled_from([p.letter for p in group.positions]), min_size=1, max_size=6)
    )
    sites, taken = [], set()
    for letter in letters:
        if group.position(letter).free or letter not in taken:
            sites.append((draw(st.sampled_from([1, 8, 22, 26, 92])), letter))
            taken.add(letter)
    return Scaffold(group.number, tuple(sites))


def test_sites_are_in_order_of_electronegativity_and_counted():
    assert RUTILE.sites == ((22, "a"), (8, "f"))
    assert str(RUTILE) == "P4_2/mnm: Ti a, O f"
    assert RUTILE.counts == {22: 2, 8: 4}
    assert RUTILE.species.tolist() == [22, 22, 8, 8, 8, 8]
    assert (RUTILE.num_atoms, RUTILE.free) == (6, 1)
    assert str(RUTILE.prototype) == "P4_2/mnm a|f"


def test_rutile_and_salt_have_one_canonical_description():
    for letters in ("af", "bg", "bf", "ag"):
        pair = Scaffold(136, ((22, letters[0]), (8, letters[1])))
        assert pair.canonical() == RUTILE
    salt = Scaffold(225, ((11, "a"), (17, "b")))
    assert Scaffold(225, ((11, "b"), (17, "a"))).canonical() == salt


def test_letters_that_go_together_are_relabelled_together():
    one = Scaffold(68, ((1, "c"), (8, "e")))
    assert Scaffold(68, ((1, "d"), (8, "f"))).canonical() == one.canonical()
    assert Scaffold(68, ((1, "c"), (8, "f"))).canonical() != one.canonical()


def test_mirror_images_are_one_crystal():
    assert Scaffold(213, ((14, "a"),)).canonical() == Scaffold(212, ((14, "a"),)).canonical()


@settings(max_examples=150, deadline=None)
@given(scaffold=scaffolds(), data=st.data())
def test_the_canonical_description_knows_no_labels_and_no_order(scaffold, data):
    maps = scaffold.space_group.relabellings
    relabelled = maps[data.draw(st.integers(0, len(maps) - 1))]
    sites = [(z, LETTERS[relabelled[LETTERS.index(letter)]]) for z, letter in scaffold.sites]
    other = Scaffold(scaffold.group, tuple(data.draw(st.permutations(sites))))
    assert other.canonical() == scaffold.canonical()
    assert other.prototype.canonical() == scaffold.prototype.canonical()
    assert scaffold.canonical().canonical() == scaffold.canonical()
    canonical = scaffold.canonical()
    assert Scaffold(canonical.group, canonical.sites) == canonical  # in order, and possible


@settings(max_examples=150, deadline=None)
@given(scaffold=scaffolds())
def test_texts_read_back(scaffold):
    assert Scaffold.parse(str(scaffold)) == scaffold
    prototype = scaffold.prototype
    assert Prototype.parse(str(prototype)) == prototype
    assert (prototype.num_atoms, prototype.free) == (scaffold.num_atoms, scaffold.free)
    assert sorted(prototype.counts) == sorted(scaffold.counts.values())


@settings(max_examples=50, deadline=None)
@given(scaffold=scaffolds())
def test_a_prototype_occupied_again_is_the_scaffold(scaffold):
    prototype = scaffold.prototype
    numbers = range(3, 3 + len(prototype.parts))
    assert prototype.occupied_by(list(numbers)).prototype == prototype


@pytest.mark.parametrize(
    "text",
    ["136: Ti a, O f", " P42/mnm :O f,Ti a ", "p4_2/mnm: O f , Ti a"],
)
def test_scaffolds_are_read_leniently(text):
    assert Scaffold.parse(text) == RUTILE


def test_several_letters_may_follow_an_element():
    assert Scaffold.parse("136: Ti a, O f g") == Scaffold.parse("136: Ti a, O g, O f")
    assert Scaffold.parse("136: Ti a, O fg") == Scaffold.parse("136: Ti a, O f, O g")


@pytest.mark.parametrize("text", ["225 c|a|b", "Fm-3m a | b | c", "F m -3 m  b|a|c"])
def test_prototypes_are_read_leniently(text):
    assert str(Prototype.parse(text)) == "Fm-3m a|b|c"


def test_elements_are_exchanged():
    assert str(RUTILE.exchanged({22: 50})) == "P4_2/mnm: Sn a, O f"
    assert str(Prototype.parse("Fm-3m a|b").occupied_by([12, 8])) == "Fm-3m: Mg a, O b"
    with pytest.raises(InputError, match="takes 2 different elements, got \\[12\\]"):
        Prototype.parse("Fm-3m a|b").occupied_by([12])
    with pytest.raises(InputError, match="takes 2 different elements, got \\[12, 12\\]"):
        Prototype.parse("Fm-3m a|b").occupied_by([12, 12])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no scaffold. Write a scaffold as"),
        ("P4_2/mnm", "is no scaffold. Write a scaffold as"),
        ("P4_2/mnm:", "'' of 'P4_2/mnm:' is no site"),
        ("P4_2/mnm: Ti a, O", "'O' of .* is no site"),
        ("P4_2/mnm: ti a", "'ti a' of .* is no site"),
        ("P4_2/mnm: Xx a", "'Xx' is the symbol of no element"),
        ("P4_2/mnm: Ti z", "has no Wyckoff position 'z'; it has a to k"),
        ("P4_2/mnm: Ti a, O a", "Position a of P4_2/mnm is a single place.*once, not 2 times"),
        ("P4_2/mnm: Ti aa", "once, not 2 times"),
        ("231: Ti a", "from 1 to 230, got 231"),
        ("Pnonsense: Ti a", "No space group has the symbol 'Pnonsense'"),
    ],
)
def test_scaffolds_that_cannot_be(text, words):
    with pytest.raises(InputError, match=words):
        Scaffold.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'is no prototype. Write a prototype as "Fm-3m a|b|c"'.replace("|", r"\|")),
        ("Fm-3m", "is no prototype"),
        ("Fm-3m a||b", "is no prototype"),
        ("Fm-3m z", "has no Wyckoff position 'z'; it has a to l"),
        ("Fm-3m a|a", "Position a of Fm-3m is a single place.*once, not 2 times"),
        ("Fm-3n q a|b", "No space group has the symbol"),
        ("0 a|b", "from 1 to 230, got 0"),
    ],
)
def test_prototypes_that_cannot_be(text, words):
    with pytest.raises(InputError, match=words):
        Prototype.parse(text)


@pytest.mark.parametrize("number", [0, -1, 119, 200])
def test_a_site_needs_an_element(number):
    with pytest.raises(InputError, match="is the atomic number of no element"):
        Scaffold(225, ((number, "a"),))


def test_nothing_is_no_scaffold():
    with pytest.raises(InputError, match="Fm-3m needs one site at least"):
        Scaffold(225, ())
    with pytest.raises(InputError, match="one letter at least for every element"):
        Prototype(225, ("a", ""))


def test_a_prototype_with_spaces_among_its_letters_is_refused_as_such():
    with pytest.raises(InputError, match="is no prototype"):
        Prototype.parse("P4_2/mnm a|a f")
