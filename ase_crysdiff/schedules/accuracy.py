"""How much has been observed of the data as a function of time, for Bayesian flows: t = 0 is the
data, t = 1 nothing.

The accuracy A is that of evidence w ~ N(A φ, A) about a point φ. It adds up: evidence of accuracy A
and further evidence of accuracy B together are evidence of accuracy A + B.
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import i0e, i1e, ndtr

from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.geometry.von_mises import UNIFORM_ENTROPY
from ase_crysdiff.schedules.noise import Tables
from ase_crysdiff.shapes import Float, Tensor

Numbers = NDArray[np.float64]


class Accuracy(Tables, ABC):
    """The accuracy of the evidence on the grid of trained times."""

    @property
    @abstractmethod
    def accuracies(self) -> Float[Tensor, " steps"]:
        """A for k = 0 … 1000; falls to A_1000 = 0."""

    @property
    @abstractmethod
    def slopes(self) -> Float[Tensor, " steps"]:
        """-dA/dt for k = 0 … 1000."""

    def at(self, t: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """A at t."""
        return self.lookup("accuracies", t)

    def slope(self, t: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """-dA/dt at t: how fast evidence comes in."""
        return self.lookup("slopes", t)

    @property
    def observed(self) -> Float[Tensor, " steps"]:
        """The share of the time in which observations have been made, 1 - t."""
        return 1 - torch.arange(TRAINED_STEPS + 1, dtype=torch.float64) / TRAINED_STEPS


class GeometricAccuracy(Accuracy):
    """A belief that begins as the unit normal and whose standard deviation falls as σ^(1 - t).

    Args:
        smallest: σ, the standard deviation at the data, in standard deviations of the prior.

    Source: Graves et al. 2023, section 4.5.
    """

    def __init__(self, smallest: float = math.sqrt(1e-3)) -> None:
        self._rate = -2 * math.log(smallest)

    @cached_property
    def accuracies(self) -> Float[Tensor, " steps"]:
        return torch.expm1(self._rate * self.observed)

    @cached_property
    def slopes(self) -> Float[Tensor, " steps"]:
        return self._rate * torch.exp(self._rate * self.observed)


class QuadraticAccuracy(Accuracy):
    """A = (1 - t)² times that of the end, for beliefs about classes.

    Args:
        largest: A at the data.

    Source: Graves et al. 2023, section 6.8.
    """

    def __init__(self, largest: float) -> None:
        self._largest = largest

    @cached_property
    def accuracies(self) -> Float[Tensor, " steps"]:
        return self._largest * self.observed**2

    @cached_property
    def slopes(self) -> Float[Tensor, " steps"]:
        return 2 * self._largest * self.observed


class LinearEntropy(Accuracy):
    """For angles: the expected entropy of the von Mises belief falls linearly with time.

    The evidence is an arrow in the plane, w ~ N(A (cos x, sin x), A); the belief has its direction
    as mean and its length as concentration. The entropy that is left on average is a function of A,
    which is inverted here. Its derivative is half the squared error that is left,
    d E[H] / dA = -½ (1 - E[(I_1 / I_0)²]) (Guo et al. 2005).

    CrysBFN chooses the accuracies of a finite number of observations as if each belief before lay
    exactly on the truth, so that its entropy is linear only nearly; see
    `testing.periodic_flow_reference`.

    Args:
        largest: A at the data; the published flow ends at a concentration of 1000.
    """

    def __init__(self, largest: float = 1000.0) -> None:
        self._largest = largest

    @cached_property
    def accuracies(self) -> Float[Tensor, " steps"]:
        grid = np.concatenate([[0.0], np.geomspace(1e-4, self._largest, 1500)])
        known = UNIFORM_ENTROPY - self._means(grid)[0]  # nats, from 0
        # Smooth in the information, from 2 at its beginning, where A itself has a zero.
        ratio = np.concatenate([[2.0], grid[1:] / known[1:]])
        nats = known[-1] * self.observed.numpy()
        return torch.from_numpy(nats * np.exp(CubicSpline(known, np.log(ratio))(nats)))

    @cached_property
    def slopes(self) -> Float[Tensor, " steps"]:
        entropy, left = self._means(self.accuracies.numpy())
        return torch.from_numpy(2 * (UNIFORM_ENTROPY - entropy[0]) / left)

    @cached_property
    def spreads(self) -> Float[Tensor, " steps"]:
        """Standard deviation of the belief's mean about the truth, in turns, for k = 0 … 1000: from
        1 / √12 where nothing is known to 1 / (2π √A).
        """
        root = self.accuracies.sqrt().numpy()[:, None]
        # Rectangle rule over what ten standard deviations cover of a half turn.
        half = np.minimum(np.pi, 10 / np.maximum(root, 1e-9))
        angle = half * (np.arange(2000) + 0.5) / 2000
        along = root * np.cos(angle)
        density = np.exp(-(root**2) / 2) + math.sqrt(2 * math.pi) * along * ndtr(along) * np.exp(
            (along**2 - root**2) / 2
        )
        variance = (angle**2 * density).sum(-1) / density.sum(-1)
        return torch.from_numpy(np.sqrt(variance) / (2 * np.pi))

    def spread(self, t: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """Standard deviation of the belief's mean about the truth at t, in turns."""
        return self.lookup("spreads", t)

    @staticmethod
    def _means(accuracies: Numbers) -> tuple[Numbers, Numbers]:
        """E[H(c)] and 1 - E[(I_1 / I_0)²] over the law of the length c of evidence."""
        nodes, weights = np.polynomial.legendre.leggauss(200)
        a = accuracies[:, None]
        low, high = np.maximum(a - 9 * np.sqrt(a), 0), a + 9 * np.sqrt(a) + 1e-12
        c = low + (high - low) * (nodes + 1) / 2
        # The law of Rice: c/A exp(-(c² + A²) / 2A) I_0(c).
        density = weights * c * np.exp(-((c - a) ** 2) / (2 * np.maximum(a, 1e-30))) * i0e(c)
        density /= density.sum(-1, keepdims=True)
        resultant = i1e(c) / i0e(c)
        entropy = UNIFORM_ENTROPY + np.log(i0e(c)) + c * (1 - resultant)
        return (density * entropy).sum(-1), 1 - (density * resultant**2).sum(-1)
