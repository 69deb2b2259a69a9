"""Temperature with and without excluded classes."""

import torch

from ase_crysdiff.conditions.temperature import Temperature
from ase_crysdiff.crystal.batch import Layout


def tempered(condition, logits):
    layout = Layout((len(logits),), dtype=torch.float64)
    return torch.softmax(condition.estimate(logits, 0.5, layout), -1)


def test_excluded_classes_keep_their_probability_and_the_rest_is_tempered(generator):
    logits = torch.randn(6, 100, generator=generator, dtype=torch.float64)
    logits[5] = -torch.inf
    logits[5, 0] = 0.0  # certain of the excluded class: nothing to distribute
    before, after = torch.softmax(logits, -1), tempered(Temperature(0.5, (0,)), logits)
    torch.testing.assert_close(after.sum(-1), torch.ones(6).double())
    torch.testing.assert_close(after[:, 0], before[:, 0])
    squared = before[:5, 1:] ** 2
    torch.testing.assert_close(
        after[:5, 1:] / after[:5, 1:].sum(-1, keepdim=True), squared / squared.sum(-1, keepdim=True)
    )


def test_without_excluded_classes_probabilities_are_raised_to_a_power(generator):
    logits = torch.randn(6, 100, generator=generator, dtype=torch.float64)
    expected = torch.softmax(logits, -1) ** 2
    torch.testing.assert_close(
        tempered(Temperature(0.5), logits), expected / expected.sum(-1, keepdim=True)
    )
    torch.testing.assert_close(tempered(Temperature(1.0, (0,)), logits), torch.softmax(logits, -1))
