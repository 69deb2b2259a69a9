"""Choices by streams."""

import pytest

from ase_crysdiff.randomness import Streams


def test_choices_follow_the_odds_and_the_index_alone():
    streams = Streams(3, tuple(range(4000)))
    picked = streams.pick("sizes", [5, 7, 9], [1.0, 0.0, 3.0])
    assert set(picked) == {5, 9}
    assert picked.count(5) / 4000 == pytest.approx(0.25, abs=0.028)  # four standard errors
    assert streams.take([17]).pick("sizes", [5, 7, 9], [1.0, 0.0, 3.0]) == picked[17:18]
    assert streams.pick("others", [5, 7, 9], [1.0, 0.0, 3.0]) != picked
