"""The published flow of angles, written out: a finite chain of von Mises observations, whose
accuracies are found by searching for roots. What `processes.periodic_bayesian_flow` is judged by.

Source: Wu et al. 2025 (CrysBFN), the periodic Bayesian flow and its accuracy schedule.
"""

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import i0e

from ase_crysdiff.geometry.von_mises import UNIFORM_ENTROPY, entropy, mean_resultant, updated
from ase_crysdiff.shapes import Float, Tensor

Numbers = NDArray[np.float64]
_POINTS = 4000


def concentrations(count: int, largest: float = 1000.0) -> Numbers:
    """β_i with entropies on a line from ln 2π to that of `largest`.

    Args:
        count: Number of observations.
        largest: β after the last one.

    Returns:
        β_1 … β_count.
    """
    end = _entropy(largest)
    wanted = UNIFORM_ENTROPY + np.arange(1, count) / count * (end - UNIFORM_ENTROPY)
    found = [brentq(lambda b, h=h: _entropy(b) - h, 1e-9, largest) for h in wanted]
    return np.array([*found, largest])


def accuracies(count: int, largest: float = 1000.0) -> Numbers:
    """α_i that bring a belief which sits on the truth from β_(i - 1) to β_i on average.

    Args:
        count: Number of observations.
        largest: β after the last one.

    Returns:
        α_1 … α_count.
    """
    levels = concentrations(count, largest)
    found = [levels[0]]
    for before, after in itertools.pairwise(levels):
        root = brentq(lambda a, b=before, c=after: _length(a, b) - c, 1e-9, 2 * after)
        found.append(root)
    return np.array(found)


def chain(
    angle: float, accuracies: Numbers, rows: int, rng: np.random.Generator
) -> tuple[Float[Tensor, "steps rows"], Float[Tensor, "steps rows"]]:
    """Beliefs after each of the observations of an angle.

    Args:
        angle: The truth, radians.
        accuracies: Of the observations.
        rows: How many chains.
        rng: Random numbers.

    Returns:
        Means, radians, and concentrations.
    """
    mean = concentration = torch.zeros(rows, dtype=torch.float64)
    means, lengths = [], []
    for accuracy in accuracies:
        seen = torch.from_numpy(rng.vonmises(angle, accuracy, rows))
        mean, concentration = updated(mean, concentration, seen, torch.full_like(seen, accuracy))
        means.append(mean)
        lengths.append(concentration)
    return torch.stack(means), torch.stack(lengths)


def divergence(
    accuracy: Float[Tensor, "*rows"], difference: Float[Tensor, "*rows"]
) -> Float[Tensor, "*rows"]:
    """KL of an observation of the truth against one of the estimate, α I_1 / I_0 (1 - cos Δ), nats.

    Args:
        accuracy: Of the observation.
        difference: Δ of truth and estimate, radians.
    """
    return accuracy * mean_resultant(accuracy) * (1 - difference.cos())


def _entropy(concentration: float) -> float:
    return float(entropy(torch.tensor(concentration, dtype=torch.float64)))


def _length(accuracy: float, before: float) -> float:
    """Expected length of the sum of an arrow and an observation around it."""
    half = min(np.pi, 12 / np.sqrt(max(accuracy, 1e-9)))
    angle = half * (np.arange(_POINTS) + 0.5) / _POINTS
    density = np.exp(accuracy * (np.cos(angle) - 1)) / i0e(accuracy)
    squares = accuracy**2 + before**2 + 2 * accuracy * before * np.cos(angle)
    return float((density * np.sqrt(squares)).sum() / density.sum())
