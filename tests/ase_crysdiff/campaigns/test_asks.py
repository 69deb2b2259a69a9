"""The order in which samplers are asked."""

from itertools import islice

from ase_crysdiff.campaigns.discovery.asks import ROUND, rounds
from ase_crysdiff.prototypes.formulas import VotedFormula

FORMULAS = [VotedFormula(((3, 1), (8, n)), 2.0 - 0.5 * n, 1 + n) for n in range(1, 30)]


def test_a_round_is_half_likely_structures_and_half_new_crystals():
    for asks in islice(rounds([0], [0, 1], FORMULAS), 5):
        assert sum(ask.count for ask in asks) == ROUND
        assert sum(ask.count for ask in asks if ask.formula is None) == ROUND // 2


def test_nothing_is_asked_for_twice():
    seen = set()
    for asks in islice(rounds([0, 1], [0, 1], FORMULAS), 30):
        for ask in asks:
            these = {(ask.sampler, ask.formula, i) for i in ask.indices}
            assert not these & seen
            seen |= these


def test_likelier_formulas_come_first_and_come_again_with_further_candidates():
    first, *rest = islice(rounds([0], [], FORMULAS), 4)
    best = FORMULAS[0].contents
    assert first[0].formula == best
    assert first[0].first == 0
    again = [ask for asks in (first, *rest) for ask in asks if ask.formula == best]
    assert [ask.first for ask in again] == [4 * k for k in range(len(again))]
    assert len(again) > 2


def test_formulas_are_shared_out_among_samplers():
    (asks,) = islice(rounds([0, 1], [], FORMULAS), 1)
    assert {ask.sampler for ask in asks} == {0, 1}
    owners = {}
    for ask in asks:
        assert owners.setdefault(ask.formula, ask.sampler) == ask.sampler


def test_of_one_formula_every_sampler_gives_its_best_ones():
    (asks,) = islice(rounds([0, 1], [], FORMULAS[:1]), 1)
    assert sum(ask.count for ask in asks) == ROUND
    for sampler in (0, 1):
        indices = [i for ask in asks if ask.sampler == sampler for i in ask.indices]
        assert indices == list(range(len(indices)))


def test_rounds_end_when_all_candidates_of_all_formulas_are_asked_for():
    every = list(rounds([0], [], FORMULAS[:1]))
    assert 0 < sum(ask.count for asks in every for ask in asks) <= 96
    assert list(rounds([], [], FORMULAS)) == []
