"""Bayesian flows against the published chain, against closed forms, and against the law of data
that a denoiser knows.
"""

import math

import numpy as np
import pytest
import torch

from ase_crysdiff.geometry.torus import shortest_image, turns
from ase_crysdiff.geometry.von_mises import UNIFORM_ENTROPY, entropy, mean_resultant, updated
from ase_crysdiff.processes import (
    categorical_bayesian_flow,
    gaussian_bayesian_flow,
    periodic_bayesian_flow,
)
from ase_crysdiff.processes.base import ComponentState
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.schedules.accuracy import GeometricAccuracy, LinearEntropy
from ase_crysdiff.schedules.plans import UniformPlan
from ase_crysdiff.testing import periodic_flow_reference as published

ROWS = 20_000
LEVELS = [1.47803, 2.70250, 4.99600, 10.1139, 21.3071, 45.6201, 98.3799, 212.850, 461.198, 1000]
ACCURACIES = [1.4780, 1.5870, 2.6281, 5.3841, 11.4377, 24.549, 52.993, 114.703, 248.580, 539.033]


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def times(value, rows=ROWS):
    return torch.full((rows,), value, dtype=torch.float64)


def stream(generator, rows=ROWS):
    return GeneratorStream(rows, generator, torch.float64)


@pytest.fixture(scope="module")
def periodic():
    return periodic_bayesian_flow.make()


def concentrations(state):
    return state.auxiliaries["concentration"]


def test_entropies_of_the_von_mises_law():
    found = entropy(doubles(0.0, 1e-3, 1000.0))
    assert found[0] == pytest.approx(math.log(2 * math.pi))
    assert found[1] == pytest.approx(math.log(2 * math.pi) - 1e-6 / 4, abs=1e-12)
    assert found[2] == pytest.approx(-2.034689, abs=1e-6)
    assert mean_resultant(doubles(1e-4)) == pytest.approx(5e-5)


def test_beliefs_are_updated_by_bayes_rule():
    mean, concentration = updated(doubles(0.4), doubles(2.0), doubles(1.7), doubles(3.0))
    angle = torch.linspace(-math.pi, math.pi, 7, dtype=torch.float64)
    posterior = 2 * (angle - 0.4).cos() + 3 * (angle - 1.7).cos()
    torch.testing.assert_close(concentration * (angle - mean).cos(), posterior)
    by_cosine_rule = math.sqrt(2**2 + 3**2 + 2 * 2 * 3 * math.cos(1.3))
    assert concentration == pytest.approx(by_cosine_rule)
    assert concentration < 5, "accuracies of angles do not add"


def test_opposite_observations_leave_nothing_known():
    _, concentration = updated(doubles(0.2), doubles(4.0), doubles(0.2 + math.pi), doubles(4.0))
    assert float(concentration) < 1e-12


def test_the_published_schedule_of_ten_observations():
    np.testing.assert_allclose(published.concentrations(10), LEVELS, rtol=1e-5)
    np.testing.assert_allclose(published.accuracies(10), ACCURACIES, rtol=1e-4)


def test_the_published_chain_of_ten_observations():
    rng = np.random.default_rng(0)
    mean, concentration = published.chain(0.7, published.accuracies(10), ROWS, rng)
    expected = [1.478, 2.415, 4.440, 9.268, 20.18, 44.23, 96.72, 210.9, 459.0, 997.5]
    deviations = [0.0, 0.758, 1.088, 1.354, 1.545, 1.705, 1.851, 1.982, 2.105, 2.220]
    cosines = [0.5905, 0.7188, 0.8620, 0.9427, 0.9747, 0.9886, 0.9948, 0.9976, 0.9989, 0.9995]
    np.testing.assert_allclose(concentration.mean(1), expected, atol=0.06)
    np.testing.assert_allclose(concentration.std(1), deviations, atol=0.06)
    np.testing.assert_allclose((mean - 0.7).cos().mean(1), cosines, atol=0.02)


def test_many_weak_observations_have_the_law_of_one_step(periodic, generator):
    """125 observations of accuracy 0.2 against one draw of evidence of accuracy ½ 125 0.2²."""
    rng = np.random.default_rng(1)
    mean, length = published.chain(2 * math.pi * 0.3, np.full(125, 0.2), ROWS, rng)
    known = periodic.schedule.accuracies
    t = times(float((known - 2.5).abs().argmin()) / 1000)
    state, _ = periodic.corrupt(times(0.3)[:, None].expand(-1, 3), t, stream(generator))
    one_step = concentrations(state)
    assert float(length[-1].mean()) == pytest.approx(float(one_step.mean()), rel=0.02)
    assert float(length[-1].std()) == pytest.approx(float(one_step.std()), rel=0.03)
    cosine = (2 * math.pi * (state.value - 0.3)).cos().mean()
    assert float((mean[-1] - 0.6 * math.pi).cos().mean()) == pytest.approx(float(cosine), abs=0.01)


@pytest.mark.parametrize("t", [0.9, 0.6, 0.3])
def test_a_belief_is_the_posterior(periodic, t, generator):
    """Among states of equal concentration c, E[cos(x - m)] = I_1(c) / I_0(c)."""
    truth = torch.rand(ROWS, 3, generator=generator, dtype=torch.float64)
    state, _ = periodic.corrupt(truth, times(t), stream(generator))
    cosine, length = (2 * math.pi * (truth - state.value)).cos(), concentrations(state)
    for part in (length < length.median(), length >= length.median()):
        expected = mean_resultant(length[part]).mean()
        assert float(cosine[part].mean()) == pytest.approx(float(expected), abs=0.01)


@pytest.mark.parametrize("t", [0.9, 0.5, 0.1])
def test_the_expected_entropy_is_linear_in_time(periodic, t, generator):
    state, _ = periodic.corrupt(times(0.8)[:, None].expand(-1, 3), times(t), stream(generator))
    ends = [UNIFORM_ENTROPY, float(entropy(doubles(1000.0)))]  # that of E[H] by half a per mille
    expected = ends[1] + t * (ends[0] - ends[1])
    assert float(entropy(concentrations(state)).mean()) == pytest.approx(expected, abs=0.02)


def test_the_schedule_agrees_with_its_own_derivative_and_limits():
    schedule = LinearEntropy()
    numeric = -torch.gradient(schedule.accuracies, spacing=1e-3)[0]
    torch.testing.assert_close(schedule.slopes[5:-5], numeric[5:-5], rtol=2e-4, atol=0.0)
    assert schedule.accuracies[0] == pytest.approx(1000)
    assert schedule.accuracies[-1] == 0
    assert schedule.spreads[-1] == pytest.approx(1 / math.sqrt(12))
    assert schedule.spreads[0] == pytest.approx(1 / (2 * math.pi * math.sqrt(1000)), rel=1e-3)


def test_spreads_are_those_of_states(periodic, generator):
    for t in (0.95, 0.8, 0.4):
        state, _ = periodic.corrupt(times(0.1)[:, None].expand(-1, 3), times(t), stream(generator))
        spread = shortest_image(state.value - 0.1).square().mean().sqrt()
        assert float(spread) == pytest.approx(periodic.scales(t)[1], rel=0.02)


def test_the_loss_is_the_limit_of_the_published_divergence(periodic):
    t, count, miss = times(0.4, 1), 10**10, 0.03
    state = ComponentState(torch.zeros(1, 3).double(), {"concentration": torch.zeros(1, 3)})
    truth = torch.zeros(1, 3).double()
    target = periodic.from_clean(state, truth, t)
    prediction = periodic.from_clean(state, truth + miss, t)
    rate = periodic.schedule.slope(t)
    accuracy = (2 * rate / count).sqrt()  # half the sum of squares is what A grows by
    expected = count * published.divergence(accuracy, doubles(2 * math.pi * miss))
    torch.testing.assert_close(
        periodic.loss(prediction, target, state, t), expected, rtol=1e-5, atol=0
    )


def test_more_and_less_evidence_have_the_law_of_their_time(periodic, generator):
    """A Bayes update by the truth, and observations that are taken back."""
    truth = times(0.95)[:, None].expand(-1, 3)
    for start, end in ((0.7, 0.4), (0.4, 0.7), (0.4, 1.0)):
        state, _ = periodic.corrupt(truth, times(start), stream(generator))
        if end < start:
            known = periodic.from_clean(state, truth, times(start))
            moved = periodic.reverse(state, known, times(start), times(end), stream(generator))
        else:
            moved = periodic.renoise(state, times(start), times(end), stream(generator))
        direct, _ = periodic.corrupt(truth, times(end), stream(generator))
        for moment in (
            lambda s: concentrations(s).mean(),
            lambda s: concentrations(s).std(),
            lambda s: (2 * math.pi * (s.value - truth)).cos().mean(),
        ):
            assert float(moment(moved)) == pytest.approx(float(moment(direct)), rel=0.02, abs=0.01)


def test_nothing_is_believed_at_first(periodic, generator):
    truth = times(0.2)[:, None].expand(-1, 3)
    for state in (
        periodic.prior(stream(generator)),
        periodic.corrupt(truth, times(1.0), stream(generator))[0],
    ):
        assert float(concentrations(state).abs().max()) == 0
        assert float((2 * math.pi * state.value).cos().mean()) == pytest.approx(0, abs=0.015)
        assert float(state.value.std()) == pytest.approx(1 / math.sqrt(12), rel=0.02)


def test_gaussian_beliefs_are_the_published_ones(generator):
    process, t = gaussian_bayesian_flow.make(width=1), 0.3
    gamma = 1 - 1e-3 ** (1 - t)
    value, _ = process.corrupt(torch.full((ROWS, 1), 2.0).double(), times(t), stream(generator))
    assert float(value.mean()) == pytest.approx(2 * gamma, abs=0.01)
    assert float(value.std()) == pytest.approx(math.sqrt(gamma * (1 - gamma)), rel=0.02)
    assert float(process.prior(stream(generator)).abs().max()) == 0


def test_the_gaussian_loss_is_the_limit_of_the_published_one():
    process, t, count, miss = gaussian_bayesian_flow.make(width=1), times(0.3, 1), 10**6, 0.02
    value = torch.full((1, 1), 0.4).double()
    target, prediction = (process.from_clean(value, value + x, t) for x in (0.0, miss))
    sigma = math.sqrt(1e-3)
    published_loss = count * (1 - sigma ** (2 / count)) / (2 * sigma ** (2 * 0.7)) * miss**2
    found = process.loss(prediction, target, value, t)
    assert float(found) == pytest.approx(published_loss, rel=1e-5)


def test_gaussian_weights_are_the_same_at_all_times():
    """The loss of a miss by one standard deviation of the belief is -ln σ."""
    process = gaussian_bayesian_flow.make(width=2)
    for t in (0.05, 0.5, 1.0):
        one, none = torch.ones(3, 2).double(), torch.zeros(3, 2).double()
        found = process.loss(one, none, none, times(t, 3))
        torch.testing.assert_close(found, torch.full((3,), -math.log(1e-3) / 2).double())
    assert GeometricAccuracy().accuracies[0] == pytest.approx(999)


def run(process, predict, steps, generator, rows=4000):
    rng = stream(generator, rows)
    state = process.prior(rng)
    for t, s in UniformPlan(steps, 1.0):
        at = times(t, rows)
        state = process.reverse(state, predict(state, at), at, times(s, rows), rng)
    return state


def test_gaussian_steps_reproduce_the_data(generator):
    process, mean, deviation = gaussian_bayesian_flow.make(width=1), -0.5, 0.4

    def predict(value, t):
        accuracy = process.schedule.at(t)[:, None]
        posterior = (process.evidence(value, t) + mean / deviation**2) / (
            accuracy + 1 / deviation**2
        )
        return process.from_clean(value, posterior, t)

    found = run(process, predict, 200, generator)
    assert float(found.mean()) == pytest.approx(mean, abs=0.03)
    assert float(found.std()) == pytest.approx(deviation, abs=0.03)


def test_classes_come_out_as_often_as_they_should(generator):
    process = categorical_bayesian_flow.make(width=4, largest=20.0)
    odds = doubles(0.1, 0.2, 0.3, 0.4)

    def predict(state, t):  # p(class | w) of data with these odds
        return process.evidence(state, t) + odds.log()

    found = run(process, predict, 20, generator)
    shares = torch.bincount(found.value, minlength=4) / len(found.value)
    np.testing.assert_allclose(shares, odds, atol=0.025)


def test_believed_probabilities_are_the_posterior(generator):
    process = categorical_bayesian_flow.make(width=5, largest=20.0)
    truth = torch.randint(0, 5, (ROWS,), generator=generator)
    state, _ = process.corrupt(truth, times(0.6), stream(generator))
    believed = torch.softmax(state.auxiliaries["evidence"], -1)
    sure = believed.amax(-1)
    right = (believed.argmax(-1) == truth).double()
    for part in (sure < sure.median(), sure >= sure.median()):
        assert float(right[part].mean()) == pytest.approx(float(sure[part].mean()), abs=0.015)


def test_the_categorical_loss_is_the_published_one():
    """K β_1 τ |e - ê|² with β_1 = 0.5."""
    process, tau = categorical_bayesian_flow.make(width=4, largest=4 * 0.5), 0.7
    logits, truth = torch.zeros(1, 4).double(), torch.tensor([2])
    state = process.corrupt(truth, times(0.3, 1), GeneratorStream(1, torch.Generator()))[0]
    found = process.loss(logits, truth, state, times(1 - tau, 1))
    assert float(found) == pytest.approx(4 * 0.5 * tau * (3 * 0.25**2 + 0.75**2))


def test_directions_of_arrows(generator):
    """Right in all quadrants and on the axes, and the same to the last bit in any batch."""
    x, y = torch.randn(2, 37, 3, generator=generator)
    found = turns(x, y)
    expected = torch.atan2(y.double(), x.double()) / (2 * math.pi)
    assert float(shortest_image(found.double() - expected).abs().max()) < 1e-6
    for part in (slice(0, 3), slice(5, 12), slice(20, 37)):
        assert torch.equal(found[part], turns(x[part].clone(), y[part].clone()))
    on_axes = turns(doubles(2.0, 0.0, -3.0, 0.0), doubles(0.0, 1.0, 0.0, -5.0))
    assert on_axes.tolist() == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("smallest", "t", "known", "accuracy"),
    [(0.02, 0.5, 0.98, 49.0), (0.1, 0.75, 0.683772, 2.162278), (0.1, 0.0, 0.99, 99.0)],
)
def test_the_accuracy_of_places_is_the_published_one(smallest, t, known, accuracy):
    """GeoBFN's gamma and beta, whose time runs from nothing known to the data."""
    schedule = GeometricAccuracy(smallest)
    found = float(schedule.at(doubles(t)))
    assert found == pytest.approx(accuracy, rel=1e-6)
    assert found / (1 + found) == pytest.approx(known, abs=1e-6)


def test_evidence_of_places_comes_in_at_the_published_rate():
    assert float(GeometricAccuracy(0.02).slope(doubles(0.5))) == pytest.approx(391.2, abs=0.05)


def test_two_observations_of_a_place_are_one_of_their_accuracies_together():
    """The precision-weighted mean of what was believed and what was seen, twice."""
    process = gaussian_bayesian_flow.make(3, 0.02)
    truth = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64)
    first, second = doubles(3.0), doubles(11.0)
    mean, precision = torch.zeros_like(truth), 1.0
    for accuracy, shift in ((first, 0.1), (second, -0.2)):
        seen = truth + shift
        mean = (precision * mean + accuracy * seen) / (precision + accuracy)
        precision = float(precision + accuracy)
    together = (first * (truth + 0.1) + second * (truth - 0.2)) / (1 + first + second)
    assert torch.allclose(mean, together)
    t = doubles(0.4)
    accuracy = process.schedule.at(t)
    unit = accuracy.sqrt() * truth  # evidence without noise
    assert torch.allclose(process.belief(unit, truth, t), truth * accuracy / (1 + accuracy))
