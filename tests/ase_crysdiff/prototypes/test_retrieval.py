"""Candidates for a composition: the right ones, in the right order, with the right words."""

import numpy as np
import pytest
from textbook import packed

from ase_crysdiff.crystal.elements import atomic_number
from ase_crysdiff.prototypes.arrangements import assignments
from ase_crysdiff.prototypes.building import build
from ase_crysdiff.prototypes.exchange import ElementWish, RandomExchange, template_weights
from ase_crysdiff.prototypes.retrieval import Vote, candidates, same_formula


@pytest.fixture(scope="module")
def library():
    data = packed()
    energies = data.values["e_above_hull"].tolist()
    return build(data.scaffolds, data.names, energies, largest_energy=0.5)


def contents(**amounts):
    return [(atomic_number(symbol), count) for symbol, count in amounts.items()]


def texts(library, *cells, **how):
    found = candidates(library, cells, Vote(), **how)
    return [candidate.template(library) for candidate in found]


def test_a_crystal_retrieves_itself(library):
    for row, name in enumerate(library.names):
        crystal = library.crystal(row)
        found = candidates(library, [list(crystal.scaffold.counts.items())], Vote())
        same = [c for c in found if c.row == row and c.known]
        assert len(same) == 1
        assert same[0].template(library) == f"{name} (this compound)"
        again = same[0].crystal(library)
        assert again.scaffold == crystal.scaffold
        np.testing.assert_array_equal(again.lattice, crystal.lattice)
        np.testing.assert_array_equal(again.frac_coords, crystal.frac_coords)


def test_the_nearest_elements_are_exchanged(library):
    assert texts(library, contents(Ca=1, Ti=1, O=3))[0] == "tausonite: Ca for Sr"
    assert texts(library, contents(Hf=1, O=2))[0] == "thorianite: Hf for Th"
    assert texts(library, contents(K=1, F=1))[0] == "sylvite: F for Cl"


def test_known_forms_come_first_the_lowest_at_the_head(library):
    found = texts(library, contents(Ti=1, O=2), contents(Ti=2, O=4))
    assert found[:2] == ["anatase (this compound)", "rutile (this compound)"]
    assert texts(library, contents(Ti=2, O=4), known=False)[0] == "cassiterite: Ti for Sn"
    assert not any("this compound" in t for t in texts(library, contents(Ti=1, O=2), known=False))


def test_nothing_fits(library):
    found = candidates(library, [contents(Ti=7, O=11)], Vote())
    assert len(found) == 0
    assert found[:3] == []


def test_votes_are_those_of_a_slow_loop(library):
    vote = Vote(temperature=0.1, share=0.7, energy=2.0)
    elements = [z for z, _ in contents(Rb=1, Br=1)]
    pattern = library.pattern((1, 1))
    best = {}
    for crystal, species in enumerate(pattern.species.tolist()):
        for way, order in enumerate(assignments((1, 1)).tolist()):
            cost = sum(
                0.5**0.7 * library.distance[elements[order[slot]], species[slot]] / 0.1
                for slot in range(2)
            )
            cost += 2.0 * library.energy[pattern.first + crystal]
            arrangement = pattern.index[crystal]
            key = (arrangement, pattern.equivalent[arrangement, way])
            best.setdefault(key, []).append(-cost)
    expected = sorted((np.logaddexp.reduce(v) for v in best.values()), reverse=True)
    found = candidates(library, [contents(Rb=1, Br=1)], vote)
    np.testing.assert_allclose([c.score for c in found], expected, rtol=1e-12)


def test_cells_are_scaled_to_the_elements(library):
    found = next(
        c for c in candidates(library, [contents(Rb=1, I=1)], Vote()) if library.group[c.row] == 225
    )
    assert set(found.elements.values()) == {37, 53}
    edge = np.linalg.norm(found.crystal(library).conventional[0])
    assert edge == pytest.approx(7.34, rel=0.05)  # RbI as measured


def test_same_formula_needs_the_same_counts(library):
    pattern = library.pattern((1, 2))
    names = library.names[pattern.rows]
    assert names == ["fluorite", "thorianite", "ceria"] or set(names) == {
        "fluorite",
        "thorianite",
        "ceria",
    }
    found = same_formula(pattern, np.array([20, 9]))
    assert [name for name, same in zip(names, found, strict=True) if same] == ["fluorite"]
    assert not same_formula(pattern, np.array([9, 20])).any()


def test_exchanges_obey_their_wish(library):
    chance = RandomExchange(library.distance, library.elements, temperature=0.1)
    rows = chance.odds[sorted(library.elements)]
    np.testing.assert_allclose(rows.sum(1), 1.0)
    crystal = library.crystal(library.names.index("tausonite"))
    rng = np.random.default_rng(0)
    wish = ElementWish(library.elements, frozenset({56, 22, 8}))
    assert set(chance.propose([crystal], wish, [rng])[0].values()) == {56, 22, 8}
    few = ElementWish(frozenset({20, 50, 8, 9}))
    for _ in range(20):
        new = chance.propose([crystal], few, [rng])[0]
        assert set(new) == {38, 22, 8}
        assert set(new.values()) <= few.allowed
        assert len(set(new.values())) == 3
    assert chance.propose([crystal], ElementWish(frozenset({8})), [rng]) == [None]


def test_templates_come_as_often_as_an_exchange_obeys_the_wish(library):
    chance = RandomExchange(library.distance, library.elements, temperature=0.1)
    free = template_weights(library, chance, ElementWish(library.elements))
    np.testing.assert_allclose(free, 1.0)
    system = ElementWish(library.elements, frozenset({12, 8}))
    weights = template_weights(library, chance, system)
    row = library.names.index("periclase")
    assert weights.argmax() == row
    assert (weights[library.num_slots != 2] == 0).all()
    # Both stay with one half each, or both change places.
    expected = 0.25 + chance.odds[12, 8] * chance.odds[8, 12]
    assert weights[row] == pytest.approx(expected)
