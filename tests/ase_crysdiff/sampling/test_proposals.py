"""Known and new arrangements of a composition in one order of probability."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from textbook import textbook_library

from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
from ase_crysdiff.sampling.answers import Asked
from ase_crysdiff.sampling.loading import prototypes
from ase_crysdiff.sampling.proposals import Proposals
from ase_crysdiff.sampling.weighing import Weighing, probabilities
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold

MAGNESIA = ((12, 1), (8, 1))
TITANIA = ((22, 2), (8, 4))


@pytest.fixture(scope="module")
def proposals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    textbook_library(folder)
    torch.random.default_generator.manual_seed(0)
    decoder = ScaffoldDecoder(ScaffoldModel(hidden=32, layers=1, heads=2).eval())
    known = prototypes(folder)
    return Proposals(known.library, known.vote, decoder, Weighing(), {2: 1, 4: 1})


def test_probabilities_are_those_of_their_definition():
    weighing = Weighing(votes=0.5, model=0.25, new=-2.0, far=0.1, doubt=0.5, sharpness=2.0)
    votes, model = np.array([-3.0, -1.0]), np.log([0.2, 0.1, 0.3, 0.05])
    found = np.exp(probabilities(weighing, votes, model))
    old = np.exp(0.5 * votes) * np.array([0.2, 0.1]) ** 0.25
    new = np.array([0.3, 0.05]) ** 2
    odds = -2.0 + 0.1 + 0.5 * np.log(0.35 / 0.3)
    fresh = 1 / (1 + np.exp(-odds))
    expected = [*(1 - fresh) * old / old.sum(), *fresh * new / new.sum()]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("known", [0, 3])
def test_one_kind_alone_takes_all_the_probability(known):
    logs = probabilities(Weighing(), np.arange(known, dtype=float), np.log([0.1, 0.2, 0.3]))
    assert np.exp(logs).sum() == pytest.approx(1)


def test_more_votes_mean_fewer_new_arrangements():
    model = np.log([0.1, 0.1])
    few, many = (probabilities(Weighing(), np.array([v]), model)[1] for v in (-100.0, 0.0))
    assert few > many


def test_proposals_hold_the_composition_once_each(proposals):
    found = proposals.ranked(Asked((MAGNESIA,), known=False))
    fresh = [one.scaffold for one in found if one.template is None]
    assert fresh
    assert len(set(fresh)) == len(fresh)
    assert all(one.scaffold.counts == dict(MAGNESIA) for one in found)
    assert all(one.scaffold == one.scaffold.canonical() for one in found)
    assert not {one.scaffold for one in found if one.template} & set(fresh)
    logs = [one.log_probability for one in found]
    assert logs == sorted(logs, reverse=True)
    assert logsumexp(logs) == pytest.approx(0, abs=1e-6)


def test_known_structures_of_the_formula_come_first_or_not_at_all(proposals):
    asked = Asked((TITANIA,))
    known = [one.known for one in proposals.ranked(asked)]
    assert known[:2] == [True, True]  # anatase and rutile
    assert not any(known[2:])
    assert not any(one.known for one in proposals.ranked(Asked((TITANIA,), known=False)))


def test_a_group_and_a_prototype_are_kept(proposals):
    grouped = proposals.ranked(Asked((TITANIA,), group=136))
    assert {one.scaffold.group for one in grouped} == {136}
    rutile = Prototype.parse("P4_2/mnm a|f")
    found = proposals.ranked(Asked((TITANIA,), wished=rutile))
    assert [str(one.scaffold) for one in found] == ["P4_2/mnm: Ti a, O f"]
    assert found[0].known


def test_a_scaffold_keeps_its_elements_in_their_places(proposals):
    wished = Scaffold.parse("F-43m: Mg a, O c")
    found = proposals.ranked(Asked((MAGNESIA,), wished=wished))
    assert [one.scaffold for one in found] == [wished.canonical()]


def test_several_formula_units_share_the_probability(proposals):
    """Fluorite has one per cell, rutile two."""
    found = proposals.ranked(Asked((((22, 1), (8, 2)), TITANIA), known=False))
    assert {one.scaffold.num_atoms for one in found} == {3, 6}
    assert logsumexp([one.log_probability for one in found]) == pytest.approx(0, abs=1e-6)


def test_a_wished_class_of_energies_weighs_proposals(proposals):
    """By the model's logits l0 + w (l - l0): with w = 0 the class counts for nothing."""
    plain, wished, ignored = (
        proposals.evidence([Asked((MAGNESIA,), known=False, hull=hull, guidance_weight=weight)])[0]
        for hull, weight in ((0, 1.0), (1, 1.0), (1, 0.0))
    )
    np.testing.assert_array_equal(plain.log_model, ignored.log_model)
    old = len(plain.templates)
    assert wished.scaffolds[:old] == plain.scaffolds[:old]
    shared = proposals.decoder.log_probabilities(plain.scaffolds[:old], hull=1)
    np.testing.assert_allclose(wished.log_model[:old], shared, rtol=1e-12)
    assert not np.allclose(plain.log_model[:old], shared)


def test_questions_of_all_kinds_may_be_asked_together(proposals):
    several = [
        Asked((MAGNESIA,), known=False),
        Asked((MAGNESIA,), wished=Scaffold.parse("F-43m: Mg a, O c")),
        Asked((TITANIA,), group=136),
        Asked((((22, 1), (8, 2)), TITANIA), known=False),
        Asked((MAGNESIA,), known=False, hull=1),
        Asked((TITANIA,), known=False),
    ]
    assert proposals.ranked_each(several) == [proposals.ranked(one) for one in several]
    assert proposals.ranked_each([]) == []


def test_draws_share_the_proposals_by_their_probability(proposals):
    asked = Asked((MAGNESIA,), known=False)
    ranked = proposals.ranked(asked)
    draws = [proposals.in_turn(asked, number) for number in range(400)]
    assert draws[0] == ranked[0].scaffold
    for scaffold in {one.scaffold for one in ranked}:
        share = sum(np.exp(one.log_probability) for one in ranked if one.scaffold == scaffold)
        same = sum(one.scaffold == scaffold for one in ranked)
        assert abs(draws.count(scaffold) - 400 * share) <= 2 * same + 1
    assert proposals.in_turn(asked, 3) == draws[3]
