"""Scaffolds from a model: draws, searches and scores agree with each other and with enumeration."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
from ase_crysdiff.networks.scaffolds.frontier import Frontier, Wish
from ase_crysdiff.networks.scaffolds.partial import Partial
from ase_crysdiff.networks.scaffolds.reading import Reader
from ase_crysdiff.networks.scaffolds.search import uniform_of
from ase_crysdiff.networks.scaffolds.stochastic_beam import perturbed
from ase_crysdiff.randomness import Streams
from ase_crysdiff.symmetry.decisions import Decisions, decisions_of
from ase_crysdiff.symmetry.feasible import feasible, feasible_groups
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import mirrored

SALT, RUTILE = {11: 1, 17: 1}, {22: 2, 8: 4}
OLIVINE = {3: 4, 26: 4, 15: 4, 8: 16}
SCAFFOLDS = [
    Scaffold.parse(text)
    for text in (
        "P4_2/mnm: Ti a, O f",
        "Fm-3m: Na a, Cl b",
        "Pnma: Li a, Fe c, P c, O ccd",
        "P-1: Mg i, O i",
        "P1: Na a, Cl a",
        "P4_3: Mg aa, O a",
    )
]
CUBIC = frozenset({221, 225})


@pytest.fixture(scope="module")
def model():
    torch.random.default_generator.manual_seed(0)
    network = ScaffoldModel(hidden=32, layers=2, heads=2).eval()
    torch.nn.init.normal_(network.hull.weight)  # such that classes differ
    return network


@pytest.fixture(scope="module")
def decoder(model):
    return ScaffoldDecoder(model)


def uniform(seed, rows=16):
    rng = np.random.default_rng(seed)
    return lambda decision: rng.random(rows)


def numbers(seed):
    return uniform_of(Streams(seed, (0,)))


def one_after_the_other(model, scaffold, wish):
    """Log-probability of the decisions of a description."""
    frontier = Frontier(model, [Partial.of(scaffold.counts)], wish)
    for choice in (scaffold.group, *decisions_of(scaffold)["letters"].tolist()):
        log = frontier.options()[0, choice]
        (partial,) = frontier.partials
        frontier.advance([0], [partial.follow(choice, partial.log_probability + log)])
    (partial,) = frontier.partials
    assert partial.finished
    assert partial.scaffold() == scaffold
    return partial.log_probability


def descriptions_of(counts):
    """All descriptions of all scaffolds, by trying all letters."""
    pairs = Partial.of(counts).pairs
    for group in feasible_groups(counts.values()):
        positions = Scaffold(group, ((1, "a"),)).space_group.positions
        for letters in itertools.product(positions, repeat=len(pairs)):
            twice = len({p.letter for p in letters}) < len(letters)
            if twice and any(p.free == 0 for p in letters):
                continue
            if all(p.multiplicity == n for p, (_, n) in zip(letters, pairs, strict=True)):
                yield Scaffold(
                    group, tuple((z, p.letter) for p, (z, _) in zip(letters, pairs, strict=True))
                )


def test_probabilities_of_all_scaffolds_add_up_to_one(decoder):
    """Every way to put Na and Cl into a primitive cell, of all groups: 642 ways, 127 crystals."""
    described = list(descriptions_of(SALT))
    assert len(described) == 642
    canonical = {scaffold.canonical() for scaffold in described}
    assert {s for scaffold in canonical for s in scaffold.descriptions()} == set(described)
    found = decoder.likeliest(SALT, 2000, beam=2000)
    assert {scored.scaffold for scored in found} == canonical
    assert len(found) == len(canonical) == 127
    logs = [scored.log_probability for scored in found]
    assert logs == sorted(logs, reverse=True)
    assert np.exp(logs).sum() == pytest.approx(1, abs=1e-9)
    given = decoder.log_probabilities([s.scaffold for s in found], all_descriptions=True)
    np.testing.assert_allclose(given, logs, atol=1e-5)


def test_the_reader_says_what_the_model_says(model):
    for scaffold in SCAFFOLDS:
        batch = Decisions.of([decisions_of(scaffold, hull=2)] * 3)
        with torch.no_grad():
            group, letters = model(batch)
            reader = Reader(model, batch.elements[:1], batch.counts[:1], 2)
            reader.select(torch.tensor([0, 0, 0]))
            torch.testing.assert_close(reader.groups, group)
            for site in range(len(scaffold.sites)):
                here = slice(site, site + 1)
                found = reader.letters(
                    batch.group,
                    torch.roll(batch.letters, 1, 1)[:, here],
                    batch.turn[:, here],
                    batch.remaining[:, here],
                )
                torch.testing.assert_close(found[:, 0], letters[:, site])


@pytest.mark.parametrize("wish", [Wish(), Wish(hull=2), Wish(hull=3, guidance_weight=2.5)])
def test_scores_are_the_sums_of_the_decisions(model, decoder, wish):
    wishes = {"hull": wish.hull, "guidance_weight": wish.guidance_weight}
    found = decoder.log_probabilities(SCAFFOLDS, **wishes)
    wanted = [one_after_the_other(model, s.canonical(), wish) for s in SCAFFOLDS]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    for counts in (RUTILE, OLIVINE):
        drawn = decoder.draw([counts] * 8, uniform(1), **wishes)
        canonical = [d for d in drawn if d.scaffold == d.scaffold.canonical()]
        assert canonical
        scores = decoder.log_probabilities([d.scaffold for d in canonical], **wishes)
        np.testing.assert_allclose(scores, [d.log_probability for d in canonical], atol=1e-5)


def test_scores_hang_neither_on_the_batch_nor_on_the_description(decoder):
    together = decoder.log_probabilities(SCAFFOLDS)
    alone = [decoder.log_probabilities([scaffold])[0] for scaffold in SCAFFOLDS]
    np.testing.assert_allclose(together, alone, atol=2e-6)
    salt = [Scaffold.parse("Fm-3m: Na a, Cl b"), Scaffold.parse("Fm-3m: Na b, Cl a")]
    assert len(set(decoder.log_probabilities(salt))) == 1
    assert len(decoder.log_probabilities([])) == 0
    assert (decoder.log_probabilities(salt, groups=frozenset({225})) > together[1]).all()
    for others in ({62}, {221}):  # the first cannot hold the composition either
        assert (decoder.log_probabilities(salt, groups=frozenset(others)) == -np.inf).all()
    with pytest.raises(InputError, match="1 to 8 elements; got 9"):
        decoder.log_probabilities([Scaffold(1, tuple((z, "a") for z in range(1, 10)))])


def test_guidance_goes_from_the_open_to_the_wished_class_and_beyond(decoder):
    by_weight = {
        weight: decoder.log_probabilities(SCAFFOLDS, hull=2, guidance_weight=weight)
        for weight in (0.0, 0.5, 1.0, 3.0)
    }
    assert (by_weight[0] == decoder.log_probabilities(SCAFFOLDS)).all()
    assert (by_weight[1] == decoder.log_probabilities(SCAFFOLDS, hull=2)).all()
    assert np.abs(by_weight[1] - by_weight[0]).min() > 1e-3
    assert np.abs(by_weight[3] - by_weight[1]).min() > 1e-3
    # An open class has nothing to be guided by.
    open_class = decoder.log_probabilities(SCAFFOLDS, guidance_weight=3.0)
    assert (open_class == by_weight[0]).all()
    # One decision between two groups: its log-odds are linear in the weight.
    odds = []
    for weight in (0.0, 1.0, 3.0):
        found = decoder.log_probabilities(
            [Scaffold.parse("Fm-3m: Si a"), Scaffold.parse("Im-3m: Si a")],
            hull=2,
            guidance_weight=weight,
            groups=frozenset({225, 229}),
            all_descriptions=True,
        )
        assert np.exp(found).sum() == pytest.approx(1, abs=1e-6)
        odds.append(found[0] - found[1])
    assert odds[2] - odds[0] == pytest.approx(3 * (odds[1] - odds[0]), abs=1e-5)
    drawn = [
        decoder.draw([RUTILE] * 16, uniform(5), **wishes)
        for wishes in ({}, {"hull": 4, "guidance_weight": 0.0}, {"hull": 4})
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_every_decision_can_be_completed(model):
    """Compositions at random: whatever is decided, all atoms find a place."""
    rng = np.random.default_rng(0)
    decoder = ScaffoldDecoder(model)
    for seed in range(6):
        contents = []
        for _ in range(16):
            elements = rng.choice(np.arange(1, 95), rng.integers(1, 6), replace=False)
            contents.append({int(z): int(rng.integers(1, 9)) for z in elements})
        # At a high temperature all that is allowed is tried.
        for scored, counts in zip(
            decoder.draw(contents, uniform(seed), temperature=5.0), contents, strict=True
        ):
            scaffold = scored.scaffold
            assert scaffold.counts == counts
            assert feasible(scaffold.group, counts.values())
            rows = decisions_of(scaffold)
            for letter, allowed in zip(rows["letters"], rows["allowed"], strict=True):
                assert allowed[letter]
            assert np.isfinite(scored.log_probability)


def test_drawn_scaffolds_are_of_an_allowed_group(decoder):
    only = frozenset({136, 227})
    drawn = decoder.draw([RUTILE] * 8, uniform(0), groups=only)
    assert {d.scaffold.group for d in drawn} <= only
    with pytest.raises(InputError, match=r"None of the allowed .* \(11:1 17:1\)"):
        decoder.draw([OLIVINE, SALT], uniform(0), groups=frozenset({62}))
    for search in (
        lambda wished: decoder.likeliest(SALT, 5, groups=wished),
        lambda wished: decoder.draw_distinct(SALT, 5, numbers(0), groups=wished),
    ):
        assert {s.scaffold.group for s in search(CUBIC)} == CUBIC
        with pytest.raises(InputError, match="None of the allowed"):
            search(frozenset({62}))
    with pytest.raises(InputError, match="above 0, got 0"):
        decoder.likeliest(SALT, 0)
    with pytest.raises(InputError, match="0 to 6, got 7"):
        decoder.likeliest(SALT, 1, hull=7)
    assert decoder.draw([], uniform(0)) == []


def test_mirror_images_are_one_crystal_in_the_group_that_was_wished(decoder):
    screw = frozenset({78})
    assert mirrored(78) == 76
    counts = {12: 8, 8: 4}
    left = decoder.likeliest(counts, 3, groups=screw)
    right = decoder.likeliest(counts, 3, groups=frozenset({76}))
    assert [s.log_probability for s in left] == [s.log_probability for s in right]
    assert [s.scaffold.group for s in left] == [78] * len(left)
    (drawn,) = decoder.draw([counts], uniform(0), groups=screw)
    assert drawn.scaffold.group == 78
    score = decoder.log_probabilities([s.scaffold for s in left], groups=screw)
    np.testing.assert_allclose(score, [s.log_probability for s in left], atol=1e-5)


def test_a_draw_does_not_hang_on_its_neighbours(decoder):
    table = np.random.default_rng(3).random((40, 3))
    counts = [RUTILE, OLIVINE, SALT]
    together = decoder.draw(counts, lambda decision: table[decision])
    for i, own in enumerate(counts):
        (alone,) = decoder.draw([own], lambda decision, i=i: table[decision, i : i + 1])
        assert alone == together[i]  # to the last bit


def test_a_search_does_not_hang_on_those_beside_it(decoder):
    """More of them than are read together, of one and of several compositions, short and long."""
    mixed = [SALT, {11: 2, 17: 2}]
    several = [RUTILE, mixed, OLIVINE, SALT, {12: 1, 8: 1}, {22: 4, 8: 8}, {3: 2, 8: 1}, {13: 4},
               {26: 1, 28: 3}, RUTILE]  # fmt: skip
    weights = [[0.0, -1.0] if one is mixed else None for one in several]
    together = decoder.likeliest_each(several, 6, log_weights=weights, beam=8, hull=1)
    assert {len(found) for found in together} == {5, 6}
    for one, logs, found in zip(several, weights, together, strict=True):
        alone = decoder.likeliest(one, 6, log_weights=logs, beam=8, hull=1)
        assert found == alone  # to the last bit


def test_distinct_draws_are_distinct_and_a_longer_list_begins_as_a_shorter_one(decoder):
    for counts in (SALT, OLIVINE):
        many = decoder.draw_distinct(counts, 40, numbers(1))
        assert len({s.scaffold for s in many}) == len(many) == 40
        assert all(s.scaffold == s.scaffold.canonical() for s in many)
        assert all(s.scaffold.counts == counts for s in many)
        few = decoder.draw_distinct(counts, 7, numbers(1))
        assert [s.scaffold for s in few] == [s.scaffold for s in many[:7]]
        scores = decoder.log_probabilities([s.scaffold for s in many])
        np.testing.assert_allclose(scores, [s.log_probability for s in many], atol=1e-5)
    assert decoder.draw_distinct(OLIVINE, 7, numbers(2)) != few


def test_distinct_draws_run_out(decoder):
    found = decoder.draw_distinct(SALT, 500, numbers(0))
    every = decoder.likeliest(SALT, 2000, beam=2000)
    assert len(found) == len(every)
    assert {s.scaffold for s in found} == {s.scaffold for s in every}


def check_frequencies(seen, p):
    """How often i came first and j second, against draws without replacement."""
    several = seen.sum()
    wanted = p[:, None] * p[None] / (1 - p[:, None])
    np.fill_diagonal(wanted, 0)
    for found, exact in ((seen, wanted), (seen.sum(1), p), (seen.sum(0), wanted.sum(0))):
        error = np.sqrt(exact * (1 - exact) / several)
        assert (np.abs(found / several - exact) <= 4 * error + 1e-12).all()


def test_distinct_draws_are_as_frequent_as_they_should_be(decoder):
    """One Si atom on a, or as well on b, of three groups: descriptions count as one crystal."""
    groups, counts = frozenset({221, 225, 229}), {14: 1}
    every = decoder.likeliest(counts, 10, groups=groups)
    p = np.exp([s.log_probability for s in every])
    assert [len(s.scaffold.descriptions()) for s in every].count(2) == 2
    assert len(p) == 3
    assert p.sum() == pytest.approx(1, abs=1e-9)
    places = {s.scaffold: i for i, s in enumerate(every)}
    seen = np.zeros((3, 3))
    for seed in range(200):
        drawn = decoder.draw_distinct(counts, 2, numbers(seed), groups=groups)
        first, second = (places[s.scaffold] for s in drawn)
        seen[first, second] += 1
    check_frequencies(seen, p)


def test_the_highest_perturbed_scores_are_draws_without_replacement():
    """Two decisions between two and three ways, 50,000 times."""
    rng = np.random.default_rng(1)
    first, second = np.array([0.7, 0.3]), np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    leaves, several = (first[:, None] * second).ravel(), 50_000

    def after(logs, highest):
        return perturbed(np.tile(logs, (several, 1)), highest, rng.random((several, len(logs))))

    upper = after(np.log(first), np.zeros(several))
    lower = [after(np.log(part), upper[:, i]) for i, part in enumerate(np.split(leaves, 2))]
    order = np.argsort(-np.concatenate(lower, 1), 1)
    seen = np.zeros((6, 6))
    np.add.at(seen, (order[:, 0], order[:, 1]), 1)
    check_frequencies(seen, leaves)


def test_one_of_several_compositions_is_decided_for_first(decoder):
    several, weights = [SALT, {11: 2, 17: 2}, {11: 3, 17: 3}], [0.0, np.log(3), 0.5]
    found = decoder.likeliest(several, 3000, beam=3000, log_weights=weights, groups=CUBIC)
    shares = np.exp(weights) / np.exp(weights).sum()
    mass = Counter()
    for scored in found:
        mass[scored.scaffold.num_atoms // 2] += np.exp(scored.log_probability)
    for units, share in zip((1, 2, 3), shares, strict=True):
        held = decoder.likeliest(several[units - 1], 3000, beam=3000, groups=CUBIC)
        for scored in held:
            joint = next(s for s in found if s.scaffold == scored.scaffold)
            wanted = scored.log_probability + np.log(share)
            assert joint.log_probability == pytest.approx(wanted, abs=1e-6)
        assert mass[units] == pytest.approx(share, abs=1e-6)
    drawn = decoder.draw_distinct(several, 12, numbers(0), log_weights=weights, groups=CUBIC)
    assert len({s.scaffold.num_atoms for s in drawn}) > 1
    known = {s.scaffold: s.log_probability for s in found}
    assert all(s.log_probability <= known[s.scaffold] + 1e-5 for s in drawn)
    for wrong in ([0.0], [0.0, 0.0, -np.inf]):
        with pytest.raises(InputError, match="3 compositions need the finite logarithm"):
            decoder.likeliest(several, 5, log_weights=wrong)


def test_perturbed_scores_have_the_highest_that_is_given():
    rng = np.random.default_rng(0)
    logs = np.log(rng.dirichlet(np.ones(6), 50))
    logs[:, 2] = -np.inf
    highest = rng.normal(size=50) * 5
    found = perturbed(logs, highest, rng.random((50, 6)))
    np.testing.assert_allclose(found.max(1), highest, rtol=1e-12)
    assert (found[:, 2] == -np.inf).all()
    # A lone way on keeps its score.
    alone = perturbed(np.array([[-np.inf, -7.0]]), np.array([0.3]), np.zeros((1, 2)))
    assert alone.tolist() == [[-np.inf, 0.3]]
