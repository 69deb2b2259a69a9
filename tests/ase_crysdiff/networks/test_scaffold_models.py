"""The probability of scaffolds: what it forbids cannot be, and it can be learned."""

import numpy as np
import pytest
import torch

from ase_crysdiff.data.scaffold_sequences import ScaffoldSequences
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
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
        found.setdefault(len(scaffold.sites), []).append(-score)
    np.testing.assert_allclose(losses, [np.mean(found[n]) for n in sorted(found)], rtol=1e-5)


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
    assert str(best.scaffold) == "P4_2/mnm: Ti a, O f"
