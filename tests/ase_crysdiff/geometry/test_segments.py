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


def test_sums_and_extremes_equal_those_of_a_loop():
    values = torch.tensor([1.0, -2.0, 5.0, 0.5])
    index = torch.tensor([2, 0, 2, 0])
    assert segments.segment_sum(values, index, 3).tolist() == [-1.5, 0.0, 6.0]
    assert segments.segment_max(values, index, 3).tolist() == [0.5, -torch.inf, 5.0]
    assert segments.segment_min(values, index, 3).tolist() == [-2.0, torch.inf, 1.0]
    wide = segments.segment_sum(values[:, None] * torch.tensor([1.0, 2.0]), index, 3)
    assert wide.tolist() == [[-1.5, -3.0], [0.0, 0.0], [6.0, 12.0]]


def test_sums_are_differentiable():
    values = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([0, 1, 1, 0, 3])
    assert torch.autograd.gradcheck(lambda v: segments.segment_sum(v, index, 4), values)


def test_examples_hold():
    assert doctest.testmod(segments).failed == 0
