"""Odds on the number of atoms are Bayes' rule over all ways to fill the slots."""

import itertools

import pytest
import torch

from ase_crysdiff.conditions.atom_count import AtomCountPrior
from ase_crysdiff.constants import NUM_SPECIES, VACANCY
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError

SLOTS = 4
ODDS = [0.0, 3.0, 1.0, 0.2, 0.7]


def tilted(logits, odds, crystals=1):
    layout = Layout((SLOTS,) * crystals, dtype=torch.float64)
    return AtomCountPrior(odds).estimate(logits, 0.5, layout)


@pytest.fixture
def logits(generator):
    return (
        torch.randn(SLOTS, NUM_SPECIES, generator=generator, dtype=torch.float64)
        + 3 * torch.eye(1, NUM_SPECIES).double()
    )


def test_it_is_bayes_rule_over_all_fillings(logits):
    vacant = torch.softmax(logits, -1)[:, VACANCY]
    total, atoms = 0.0, torch.zeros(SLOTS, dtype=torch.float64)
    for filling in itertools.product((0, 1), repeat=SLOTS):
        chosen = torch.tensor(filling).double()
        weight = float(torch.where(chosen == 1, 1 - vacant, vacant).prod()) * ODDS[sum(filling)]
        total += weight
        atoms += weight * chosen
    after = torch.softmax(tilted(logits, ODDS), -1)
    torch.testing.assert_close(1 - after[:, VACANCY], atoms / total, atol=1e-10, rtol=0)


def test_elements_keep_their_shares(logits):
    before, after = torch.softmax(logits, -1)[:, 1:], torch.softmax(tilted(logits, ODDS), -1)[:, 1:]
    torch.testing.assert_close(
        before / before.sum(-1, keepdim=True),
        after / after.sum(-1, keepdim=True),
        atol=1e-10,
        rtol=0,
    )


def test_even_odds_change_nothing(logits):
    torch.testing.assert_close(
        torch.softmax(tilted(logits, [2.0] * 5), -1), torch.softmax(logits, -1), atol=1e-10, rtol=0
    )


def test_crystals_are_tilted_one_by_one(logits, generator):
    other = torch.randn(SLOTS, NUM_SPECIES, generator=generator, dtype=torch.float64)
    both = tilted(torch.cat([logits, other]), ODDS, crystals=2)
    torch.testing.assert_close(both[:SLOTS], tilted(logits, ODDS), atol=1e-12, rtol=0)
    torch.testing.assert_close(both[SLOTS:], tilted(other, ODDS), atol=1e-12, rtol=0)


def test_certain_slots_and_masks_stay(logits):
    """Two slots that must be atoms, one that must not, and odds that ask for a single atom: no NaN,
    no broken mask.
    """
    logits[:2, VACANCY] = -torch.inf
    logits[2, 1:] = -torch.inf
    after = tilted(logits, [0.0, 1.0])
    probabilities = torch.softmax(after, -1)
    assert torch.isfinite(probabilities).all()
    assert float(probabilities[:2, VACANCY].max()) == 0
    assert float(probabilities[2, VACANCY]) == 1


def test_useless_odds_are_refused():
    for odds in ([], [0.0, 0.0], [1.0, -1.0]):
        with pytest.raises(InputError, match="weights"):
            AtomCountPrior(odds)
