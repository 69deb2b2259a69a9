"""The flow of latents: published weights, straight lines, and the way back."""

from itertools import pairwise

import pytest
import torch

from ase_crysdiff.processes.flow import LinearFlow
from ase_crysdiff.processes.latent_flow import LatentFlow
from ase_crysdiff.randomness import GeneratorStream


@pytest.mark.parametrize(
    ("published", "weight"),
    [(0.01, 1.0203), (0.5, 4.0), (0.9, 100.0), (0.95, 100.0), (0.99, 100.0)],
)
def test_weights_are_the_published_ones(published, weight):
    """(1 - min(t, 0.9))^-2 with t = 1 at the data; time runs the other way here."""
    assert float(LatentFlow(4).weight(torch.tensor([1 - published]))) == pytest.approx(
        weight, rel=1e-4
    )


def test_loss_is_that_of_the_implied_velocity(generator):
    """Away from the data the weighted error of the estimate is the error of the velocity; near it
    the weight is cut off.
    """
    flow, plain = LatentFlow(3), LinearFlow(3)
    clean = torch.randn(6, 3, generator=generator)
    t = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.99, 0.02])
    value, target = flow.corrupt(clean, t, GeneratorStream(6, torch.Generator().manual_seed(1)))
    same, velocity = plain.corrupt(clean, t, GeneratorStream(6, torch.Generator().manual_seed(1)))
    assert torch.equal(value, same)
    assert torch.equal(target, clean)
    estimate = clean + 0.1 * torch.randn(6, 3, generator=generator)
    found = flow.loss(estimate, target, value, t)
    expected = (flow.velocity(value, estimate, t) - velocity).square().mean(1)
    torch.testing.assert_close(found[:5], expected[:5])
    torch.testing.assert_close(found[5], expected[5] * (0.02 / 0.1) ** 2)


def test_estimates_and_predictions_are_one():
    flow, value = LatentFlow(2), torch.randn(5, 2)
    clean, t = torch.randn(5, 2), torch.linspace(0.1, 1, 5)
    assert torch.equal(flow.clean(value, flow.from_clean(value, clean, t), t), clean)


@pytest.mark.parametrize("steps", [1, 7])
def test_oracle_leads_back_to_the_data(steps, generator):
    flow, clean = LatentFlow(4), torch.randn(8, 4, generator=generator)
    value = flow.prior(GeneratorStream(8, generator))
    times = torch.linspace(1, 0, steps + 1)
    for t, s in pairwise(times):
        value = flow.reverse(value, clean, t.expand(8), s.expand(8), GeneratorStream(8, generator))
    torch.testing.assert_close(value, clean, atol=1e-5, rtol=0)
