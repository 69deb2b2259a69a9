"""The probability of scaffolds: it is one, what it forbids cannot be, and decoding follows it."""

import numpy as np
import pytest
import torch

from ase_crysdiff.data.scaffold_sequences import ScaffoldSequences
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.decoding import Partial, ScaffoldDecoder
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.decisions import HULL_EDGES, decisions_of, hull_class
from ase_crysdiff.symmetry.feasible import number_of_scaffolds
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.training.scaffolds import ScaffoldObjective

TEXTS = (
    "P4_2/mnm: Ti a, O f",
    "Fm-3m: Na a, Cl b",
    "Pnma: Li a, Fe c, P c, O ccd",
    "P-1: Mg i, O i",
)


@pytest.fixture(scope="module")
def model():
    torch.random.default_generator.manual_seed(0)
    return ScaffoldModel(hidden=32, layers=2, heads=2).eval()


@pytest.fixture(scope="module")
def data():
    scaffolds = [Scaffold.parse(text) for text in TEXTS]
    crystals = [SymmetricCrystal(s, np.eye(3) * 5, np.zeros(s.free)) for s in scaffolds]
    return PackedScaffolds.of(crystals)


def uniform(seed):
    rng = np.random.default_rng(seed)
    return lambda decision: rng.random(16)


def by_decisions(model, scaffold):
    """Log-probability of a scaffold, one decision after the other."""
    partial = Partial.of(scaffold.counts)
    for choice in (scaffold.group, *decisions_of(scaffold)["letters"].tolist()):
        with torch.no_grad():
            ((choices, logs),) = ScaffoldDecoder(model)._options([partial], None, 0)
        partial = partial.follow(choice, float(logs[list(choices).index(choice)]))
    assert partial.scaffold() == scaffold
    return partial.log_probability


def test_probabilities_of_all_scaffolds_add_up_to_one(model):
    """Every way to put Na and Cl into a primitive cell, of all groups: 642."""
    found = ScaffoldDecoder(model).likeliest({11: 1, 17: 1}, 2000, beam=2000)
    assert len(found) == 642
    assert len({p.scaffold() for p in found}) == 642
    assert np.exp([p.log_probability for p in found]).sum() == pytest.approx(1, abs=1e-6)
    ranks = [p.log_probability for p in found]
    assert ranks == sorted(ranks, reverse=True)
    assert all(p.scaffold().counts == {11: 1, 17: 1} for p in found)


def test_the_loss_is_the_probability_that_decoding_gives(model, data):
    sequences = ScaffoldSequences(data, None, 24, 4, torch.device("cpu"))
    with torch.no_grad():
        losses = [
            float(ScaffoldObjective().loss(model, batch, torch.Generator())[0])
            for batch in sequences.everything()
        ]
    assert len(sequences) == len(TEXTS)
    scaffolds = [Scaffold.parse(text) for text in TEXTS]
    given = ScaffoldDecoder(model).log_probabilities(scaffolds)
    found = {}
    for scaffold, score in zip(scaffolds, given, strict=True):
        assert score == pytest.approx(by_decisions(model, scaffold.canonical()), abs=1e-5)
        found.setdefault(len(scaffold.sites), []).append(-score)
    np.testing.assert_allclose(losses, [np.mean(found[n]) for n in sorted(found)], rtol=1e-5)


def test_scores_hang_neither_on_the_batch_nor_on_the_description(model):
    decoder = ScaffoldDecoder(model)
    scaffolds = [Scaffold.parse(text) for text in TEXTS]
    together = decoder.log_probabilities(scaffolds)
    alone = [decoder.log_probabilities([scaffold])[0] for scaffold in scaffolds]
    np.testing.assert_allclose(together, alone, atol=2e-6)
    salt = [Scaffold.parse("Fm-3m: Na a, Cl b"), Scaffold.parse("Fm-3m: Na b, Cl a")]
    assert len(set(decoder.log_probabilities(salt))) == 1
    assert len(decoder.log_probabilities([])) == 0
    wished = decoder.log_probabilities(salt, groups=frozenset({225}))
    assert (wished > together[1]).all()
    for others in ({62}, {221}):  # the first cannot hold the composition either
        assert (decoder.log_probabilities(salt, groups=frozenset(others)) == -np.inf).all()
    with pytest.raises(InputError, match="1 to 8 elements; got 9"):
        decoder.log_probabilities([Scaffold(1, tuple((z, "a") for z in range(1, 10)))])


def test_drawn_scaffolds_hold_the_composition_in_an_allowed_group(model):
    decoder = ScaffoldDecoder(model)
    counts = [{22: 2, 8: 4}, {3: 4, 26: 4, 15: 4, 8: 16}, {14: 2}]
    for seed in range(5):
        for partial, wanted in zip(decoder.draw(counts, uniform(seed)), counts, strict=True):
            assert partial.finished
            assert partial.scaffold().counts == wanted
    only = frozenset({136, 227})
    drawn = decoder.draw([{22: 2, 8: 4}] * 8, uniform(0), groups=only)
    assert {p.scaffold().group for p in drawn} <= only
    with pytest.raises(InputError, match="None of the allowed space groups"):
        decoder.draw([{11: 1, 17: 1}], uniform(0), groups=frozenset({62}))


def test_a_draw_does_not_hang_on_its_neighbours(model):
    decoder, numbers = ScaffoldDecoder(model), np.random.default_rng(3).random((40, 2))
    counts = [{22: 2, 8: 4}, {3: 4, 26: 4, 15: 4, 8: 16}]
    both = decoder.draw(counts, lambda decision: numbers[decision])
    alone = decoder.draw(counts[1:], lambda decision: numbers[decision, 1:])
    assert both[1].scaffold() == alone[0].scaffold()
    assert both[1].log_probability == pytest.approx(alone[0].log_probability, abs=1e-6)


def test_every_decision_of_a_crystal_is_allowed():
    for text in TEXTS:
        scaffold = Scaffold.parse(text).canonical()
        rows = decisions_of(scaffold)
        assert rows["groups"][scaffold.group]
        for letter, allowed in zip(rows["letters"], rows["allowed"], strict=True):
            assert allowed[letter]
    salt = decisions_of(Scaffold.parse("Fm-3m: Na a, Cl b"))
    assert np.flatnonzero(salt["allowed"][0]).tolist() == [0, 1]
    assert np.flatnonzero(salt["allowed"][1]).tolist() == [1]  # a is taken
    assert salt["groups"].sum() == 68
    assert number_of_scaffolds(225, (1, 1)) == 2


def test_energies_above_the_hull_have_classes():
    assert hull_class(float("nan")) == 0
    assert hull_class(-0.01) == hull_class(0.0) == 1
    assert hull_class(0.01) == 2
    assert hull_class(5.0) == len(HULL_EDGES) + 1


def test_training_learns_the_scaffolds(data):
    torch.random.default_generator.manual_seed(0)
    network = ScaffoldModel(hidden=32, layers=1, heads=2, dropout=0.0)
    sequences = ScaffoldSequences(data, None, 24, 4, torch.device("cpu"))
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(80):
        for batch in sequences.everything():
            loss, _ = ScaffoldObjective().loss(network, batch, generator)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    best = ScaffoldDecoder(network.eval()).likeliest({22: 2, 8: 4}, 1)[0]
    assert str(best.scaffold()) == "P4_2/mnm: Ti a, O f"
