"""Rows of ragged systems against plain loops."""

import doctest

import pytest
import torch

from ase_crysdiff.geometry import segments


@pytest.mark.parametrize("counts", [[2, 0, 3], [1], [], [0, 0], [4, 1, 0]])
def test_indices_equal_those_of_a_loop(counts):
    tensor = torch.tensor(counts, dtype=torch.long)
    assert segments.segment_starts(tensor).tolist() == [sum(counts[:i]) for i in range(len(counts))]
    assert segments.segment_index(tensor).tolist() == [
        i for i, n in enumerate(counts) for _ in range(n)
    ]
    assert segments.segment_places(tensor).tolist() == [k for n in counts for k in range(n)]
    chosen = list(reversed(range(len(counts))))
    rows = segments.segment_rows(tensor, torch.tensor(chosen, dtype=torch.long))
    assert rows.tolist() == [sum(counts[:i]) + k for i in chosen for k in range(counts[i])]


def test_examples_hold():
    assert doctest.testmod(segments).failed == 0
