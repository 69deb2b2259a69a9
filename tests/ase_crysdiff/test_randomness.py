"""Choices by streams, and seeds of trainings."""

import pytest
import torch

from ase_crysdiff.randomness import Streams, epoch_generator, mixed_seed


def test_choices_follow_the_odds_and_the_index_alone():
    streams = Streams(3, tuple(range(4000)))
    picked = streams.pick("sizes", [5, 7, 9], [1.0, 0.0, 3.0])
    assert set(picked) == {5, 9}
    assert picked.count(5) / 4000 == pytest.approx(0.25, abs=0.028)  # four standard errors
    assert streams.take([17]).pick("sizes", [5, 7, 9], [1.0, 0.0, 3.0]) == picked[17:18]
    assert streams.pick("others", [5, 7, 9], [1.0, 0.0, 3.0]) != picked


def test_seeds_of_epochs_and_steps_are_those_of_earlier_trainings():
    """Resumed trainings would draw other numbers."""
    assert mixed_seed(3, 7) == 3 * 1_000_003 + 7
    assert mixed_seed(3, 7, 2) == (3 * 1_000_003 + 7) * 1_009 + 2
    assert mixed_seed(2**62, 1, 1) == ((2**62 * 1_000_003 + 1) * 1_009 + 1) % 2**63
    expected = torch.randperm(9, generator=torch.Generator().manual_seed(5_000_017))
    assert torch.equal(torch.randperm(9, generator=epoch_generator(5, 2)), expected)
