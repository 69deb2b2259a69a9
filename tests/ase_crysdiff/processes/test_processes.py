"""Every process against closed forms: a denoiser that knows the data's law must give back that
law.
"""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.distributions import wrapped_normal_score
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.processes.categorical_diffusion import CategoricalDiffusion
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.processes.wrapped_diffusion import WrappedDiffusion
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.schedules.noise import Cosine, CosineSurvival, Geometric
from ase_crysdiff.schedules.plans import UniformPlan

ROWS = 4000
PRIOR = [0.10, 0.30, 0.20, 0.25, 0.15]


def gaussian(target):
    return GaussianDiffusion(2, Cosine(), target)


def wrapped():
    return WrappedDiffusion(Geometric())


def categorical(kernel="exact", prior=None, width=5):
    return CategoricalDiffusion(width, CosineSurvival(), prior, kernel)


def times(value, rows=ROWS):
    return torch.full((rows,), value, dtype=torch.float64)


def sample(process, predict, plan, generator, rows=ROWS, correct=0.0):
    rng = GeneratorStream(rows, generator, torch.float64)
    value = process.prior(rng)
    for t, s in plan:
        if correct:
            value = process.correct(value, predict(value, t), times(t, rows), correct, rng)
        value = process.reverse(value, predict(value, t), times(t, rows), times(s, rows), rng)
    return value


@pytest.mark.parametrize("target", ["noise", "velocity"])
@pytest.mark.parametrize("steps", [1000, 100])
def test_gaussian_reverse_reproduces_moments(target, steps, generator):
    process, mean, deviation = gaussian(target), -0.5, 0.3

    def predict(value, t):
        signal, spread = (x.unsqueeze(-1) for x in process.schedule.scales(times(t)))
        gain = signal * deviation**2 / (signal**2 * deviation**2 + spread**2)
        return process.from_clean(value, mean + gain * (value - signal * mean), times(t))

    result = sample(process, predict, UniformPlan(steps), generator)
    error = deviation / math.sqrt(2 * ROWS)
    assert float(result.mean()) == pytest.approx(mean, abs=4 * error)
    # A plan of finite steps is a little too narrow; the full one is exact within the error of
    # sampling.
    assert float(result.std()) == pytest.approx(
        deviation, abs=4 * error + (0.01 if steps < 1000 else 0)
    )


@pytest.mark.parametrize("correct", [0.0, 1e-5])
def test_wrapped_reverse_reproduces_moments(correct, generator):
    process, centre, deviation = wrapped(), torch.tensor([0.02, 0.5, 0.9]).double(), 0.06

    def predict(value, t):
        sigma = process.schedule.sigma(times(t)).unsqueeze(-1)
        scale = process.schedule.score_scale(times(t)).unsqueeze(-1)
        return wrapped_normal_score(value - centre, (sigma**2 + deviation**2).sqrt()) / scale

    result = shortest_image(
        sample(process, predict, UniformPlan(1000), generator, correct=correct) - centre
    )
    error = deviation / math.sqrt(ROWS)
    np.testing.assert_allclose(result.mean(0), 0, atol=4 * error)
    np.testing.assert_allclose(result.std(0), deviation, atol=4 * error + 0.001)


def exact_posterior(process, value, t):
    """p(x_0 | x_t) for data of the law PRIOR."""
    survival = process.schedule.survival(times(t, len(value)))[:, None]
    law = torch.tensor(PRIOR, dtype=torch.float64)
    noise = process._prior.double()
    likelihood = survival * functional.one_hot(value, 5) + (1 - survival) * noise[value][:, None]
    joint = likelihood * law
    return joint / joint.sum(-1, keepdim=True)


@pytest.mark.parametrize("prior", [None, [0.5, 0.2, 0.1, 0.1, 0.1]])
@pytest.mark.parametrize("steps", [1000, 40])
def test_exact_kernel_recovers_the_species_prior(prior, steps, generator):
    process, rows = categorical(prior=prior), 8_000
    result = sample(
        process,
        lambda v, t: exact_posterior(process, v, t).log(),
        UniformPlan(steps),
        generator,
        rows,
    )
    frequency = torch.bincount(result, minlength=5).double() / rows
    errors = np.sqrt(np.array(PRIOR) * (1 - np.array(PRIOR)) / rows)
    assert (np.abs(frequency.numpy() - PRIOR) < 4 * errors + (0.01 if steps < 1000 else 0)).all()


def test_published_kernel_does_not_recover_the_prior(generator):
    """Documents why it is not the default: the values are those of its authors' rule."""
    process = categorical("published")
    result = sample(
        process,
        lambda v, t: exact_posterior(process, v, t).log(),
        UniformPlan(1000),
        generator,
        8_000,
    )
    frequency = torch.bincount(result, minlength=5).double() / 8_000
    np.testing.assert_allclose(frequency, [0.149, 0.248, 0.202, 0.226, 0.176], atol=0.015)


@pytest.mark.parametrize(
    ("k", "clean", "class5", "class7", "class0", "mixed5", "mixed7"),
    [
        (0, {5: 0.5, 7: 0.5}, 0.99999979, 2.0621e-7, 0, 0.5, 0.5),
        (499, {5: 0.5, 7: 0.5}, 0.99997145, 1.57257e-5, 1.3089e-7, 0.9973586, 0.00187169),
        (998, {5: 0.5, 7: 0.5}, 0.7143477, 0.00355395, 0.00287855, 0.7089458, 0.00371293),
        (499, {0: 1.0}, 0.9947236, None, 0.00374332, 0.9947236, None),
        (998, {0: 1.0}, 0.6689550, None, 0.00488986, 0.6689550, None),
    ],
)
def test_posterior_golden(k, clean, class5, class7, class0, mixed5, mixed7):
    """Both kernels at index k of the published code, which is step k + 1 of ours, for x_t = 5."""
    value = torch.tensor([5])
    p0 = torch.zeros(1, 100, dtype=torch.float64)
    for species, weight in clean.items():
        p0[0, species] = weight
    t, s = times((k + 1) / 1000, 1), times(k / 1000, 1)
    published = categorical("published", width=100).posterior(value, p0, t, s)[0]
    exact = categorical("exact", width=100).posterior(value, p0, t, s)[0]
    for row in (published, exact):
        assert float(row.sum()) == pytest.approx(1)
    assert float(published[5]) == pytest.approx(class5, rel=2e-6)
    assert float(exact[5]) == pytest.approx(mixed5, rel=2e-6)
    assert float(published[0]) == pytest.approx(class0, rel=1e-4, abs=1e-12)
    if class7 is not None:
        assert float(published[7]) == pytest.approx(class7, rel=1e-4)
        assert float(exact[7]) == pytest.approx(mixed7, rel=1e-5)


@pytest.mark.parametrize("kernel", ["exact", "published"])
def test_posterior_equals_transition_matrices(kernel, generator):
    """The closed form against the matrices that the papers write."""
    process, width = categorical(kernel, [0.4, 0.3, 0.1, 0.1, 0.1]), 5
    survival = process.schedule.survivals
    prior = process._prior.double()

    def matrix(kept):
        return kept * torch.eye(width, dtype=torch.float64) + (1 - kept) * prior

    for t, s in [(0.4, 0.3), (1.0, 0.999), (0.6, 0.0)]:
        a_t, a_s = survival[round(1000 * t)], survival[round(1000 * s)]
        p0 = torch.rand(1, width, generator=generator, dtype=torch.float64).softmax(-1)
        for x in range(width):
            step = matrix(a_t / a_s)[:, x]
            if kernel == "exact":
                terms = [p0[0, a] * step * matrix(a_s)[a] / matrix(a_t)[a, x] for a in range(width)]
                expected = sum(terms)
            else:
                expected = step * (p0[0] @ matrix(a_s))
                expected = expected / expected.sum()
            got = process.posterior(torch.tensor([x]), p0, times(t, 1), times(s, 1))[0]
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make", [lambda: gaussian("noise"), lambda: gaussian("velocity"), wrapped])
@pytest.mark.parametrize("t", [0.05, 0.4, 0.8])
def test_clean_and_from_clean_invert(make, t, generator):
    process = make()
    rng = GeneratorStream(50, generator, torch.float64)
    value = process.prior(rng)
    clean = value + 0.1 * rng.normal(process.width)
    prediction = process.from_clean(value, clean, times(t, 50))
    again = process.clean(value, prediction, times(t, 50))
    difference = (
        shortest_image(again - clean) if isinstance(process, WrappedDiffusion) else again - clean
    )
    np.testing.assert_allclose(difference, 0, atol=1e-9)


@pytest.mark.parametrize(
    "make", [lambda: gaussian("noise"), lambda: gaussian("velocity"), wrapped, categorical]
)
def test_oracle_leads_back_to_the_truth(make, generator):
    process = make()
    rng = GeneratorStream(30, generator, torch.float64)
    truth = process.prior(rng)
    result = sample(
        process,
        lambda v, t: process.from_clean(v, truth, times(t, 30)),
        UniformPlan(50),
        generator,
        30,
    )
    difference = (
        shortest_image(result - truth) if isinstance(process, WrappedDiffusion) else result - truth
    )
    np.testing.assert_allclose(difference.double(), 0, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: gaussian("noise"), wrapped, categorical])
def test_renoise_equals_corrupt_in_law(make, generator):
    """Noising to s and onward to t is noising to t."""
    process, rows = make(), 20_000
    rng = GeneratorStream(rows, generator, torch.float64)
    clean = process.prior(rng)[:1].expand(rows, *[-1] * (process.prior(rng).dim() - 1))
    s, t = times(0.5, rows), times(0.7, rows)
    twice = process.renoise(process.corrupt(clean, s, rng)[0], s, t, rng)
    once = process.corrupt(clean, t, rng)[0]
    if twice.is_floating_point():
        angle = 2 * math.pi * (twice if isinstance(process, WrappedDiffusion) else twice / 10)
        other = 2 * math.pi * (once if isinstance(process, WrappedDiffusion) else once / 10)
        for f in (torch.cos, torch.sin):
            np.testing.assert_allclose(f(angle).mean(0), f(other).mean(0), atol=4 / math.sqrt(rows))
    else:
        a, b = (torch.bincount(x, minlength=5) / rows for x in (twice, once))
        np.testing.assert_allclose(a, b, atol=0.02)


def test_wrapped_target_matches_the_marginal_score(generator):
    """Minus the score of the noisy marginal is the mean target: the sign that is easiest to get
    wrong.
    """
    process = wrapped()
    rng = GeneratorStream(200_000, generator, torch.float64)
    noisy, target = process.corrupt(torch.zeros(200_000, 3).double(), times(0.8, 200_000), rng)
    scale = float(process.schedule.score_scale(times(0.8, 1)))
    near = (noisy - 0.2).abs() < 0.005
    expected = wrapped_normal_score(
        torch.tensor([0.2]).double(), process.schedule.sigma(times(0.8, 1))
    )
    assert float(target[near].mean() * scale) == pytest.approx(float(expected), rel=0.02)
    assert float((target**2).mean()) == pytest.approx(1, abs=0.02)


def test_prior_of_coordinates_is_uniform_and_never_one(generator):
    values = wrapped().prior(GeneratorStream(50_000, generator))
    assert float(values.max()) < 1
    np.testing.assert_allclose(values.mean(0), 0.5, atol=4 * 0.2887 / math.sqrt(50_000))


def test_categorical_refuses_bad_priors():
    with pytest.raises(InputError, match="5 positive weights"):
        categorical(prior=[1.0, 1.0, 1.0, 1.0, 0.0])
    with pytest.raises(InputError, match="kernel must be one of"):
        categorical("d3pm")
    with pytest.raises(InputError, match="target must be"):
        gaussian("score")


def test_published_loss_is_zero_for_the_truth(generator):
    process = categorical("published")
    target = torch.randint(0, 5, (20,), generator=generator)
    t = times(0.3, 20).float()
    value, _ = process.corrupt(target, t, GeneratorStream(20, generator))
    certain = 50.0 * functional.one_hot(target, 5)
    np.testing.assert_allclose(process.loss(certain, target, value, t), 0, atol=1e-3)
    assert (process.loss(-certain, target, value, t).mean()) > 0.01
