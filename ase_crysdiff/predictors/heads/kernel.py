"""Kernel ridge regression on blocks of features: small, smooth, and solved exactly."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.shapes import Tensor

Array = NDArray[np.float64]

#: Features are cut at this many deviations: one strange number must not make a crystal a stranger.
_FARTHEST = 5.0
#: Modes of a kernel below this share of the largest are rounding.
_LEAST = 1e-7
_NAMES = ("centre", "scale", "limit", "points", "coefficients")
#: Widths and ridges that are tried.
GAMMAS = (0.1, 0.3, 1.0, 2.0)
RIDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class KernelRidge:
    """A sum of kernels exp(-gamma r²) around the training rows, r the distance of standardised
    features in which every block counts alike.

    Args:
        centre: Of each feature, shape (features,).
        scale: Of each feature, the size of its block included, shape (features,).
        limit: Largest standardised feature, shape (features,).
        points: Training rows, standardised, shape (rows, features); half precision where the
            regression is to be small.
        coefficients: Shape (rows,).
        gamma: Of the kernel.

    Source: Rupp et al., Phys. Rev. Lett. 108, 058301 (2012).
    """

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    limit: NDArray[np.float32]
    points: NDArray[np.floating[Any]]
    coefficients: NDArray[np.float32]
    gamma: float

    def predict(self, features: Array) -> Array:
        """The regression at rows, shape (rows,)."""
        return self.kernel(features) @ self.coefficients.astype(np.float64)

    def kernel(self, features: Array) -> Array:
        """The kernel between rows and the training rows, shape (rows, training rows)."""
        return np.exp(-self.gamma * _squares(self.standardised(features), self.points))

    def tensors(self) -> dict[str, Tensor]:
        """For the weights of a predictor."""
        found = {name: torch.from_numpy(getattr(self, name)) for name in _NAMES}
        return found | {"gamma": torch.tensor(self.gamma, dtype=torch.float64)}

    @staticmethod
    def of_tensors(tensors: Mapping[str, Tensor]) -> "KernelRidge":
        """From the weights of a predictor."""
        arrays = {name: tensors[name].numpy() for name in _NAMES}
        return KernelRidge(**arrays, gamma=float(tensors["gamma"]))

    def standardised(self, features: Array) -> Array:
        """Features as distances are taken between them."""
        with np.errstate(invalid="ignore"):
            own = (features - self.centre) / self.scale  # 0 where a feature never differs
        return np.clip(own, -self.limit, self.limit)


@dataclass(frozen=True)
class Decomposition:
    """The kernel of training rows by its eigenvectors: solved for any values and ridge at once.

    Args:
        bare: A regression that lacks its coefficients.
        spectrum: Eigenvalues, shape (modes,).
        seen: The modes at the rows, shape (rows, modes).
        back: From modes to coefficients, shape (points, modes).
    """

    bare: KernelRidge
    spectrum: Array
    seen: Array
    back: Array

    def solved(self, values: Array, ridge: float) -> KernelRidge:
        """The regression of values about of mean 0 and deviation 1.

        Args:
            values: Shape (rows,).
            ridge: Added to the diagonal of the kernel.
        """
        turned = self.seen.T @ values / (self.spectrum.clip(0) + ridge)
        return replace(self.bare, coefficients=(self.back @ turned).astype(np.float32))


def decompositions(
    features: Array,
    blocks: Sequence[int],
    gammas: Sequence[float] = GAMMAS,
    points: NDArray[np.int64] | None = None,
) -> Iterator[Decomposition]:
    """The kernels of training rows, one for each width.

    Args:
        features: Finite, shape (rows, features).
        blocks: Widths of the blocks of features, in their order.
        gammas: Of the kernels.
        points: Rows that kernels stand on, kept in half precision; all rows are learned from. None
            has a kernel on each row.

    Source: Rasmussen and Williams 2006, equation 8.14 (subset of regressors).
    """
    deviation = features.std(0)
    widths = np.repeat(np.asarray(blocks, dtype=np.float64), blocks) * len(blocks)
    scale = np.where(deviation > 1e-9, deviation, np.inf) * np.sqrt(widths)
    nothing = np.zeros(0, dtype=np.float32)
    centre, size, limit = (
        x.astype(np.float32) for x in (features.mean(0), scale, _FARTHEST / np.sqrt(widths))
    )
    bare = KernelRidge(centre, size, limit, nothing[:, None], nothing, 0.0)
    rows = bare.standardised(features)
    chosen = rows.astype(np.float32) if points is None else rows[points].astype(np.float16)
    squares = _squares(chosen.astype(np.float64), chosen)
    between = None if points is None else _squares(rows, chosen)
    for gamma in gammas:
        found = replace(bare, points=chosen, gamma=gamma)
        spectrum, vectors = np.linalg.eigh(np.exp(-gamma * squares))
        if between is None:
            yield Decomposition(found, spectrum, vectors, vectors)
            continue
        kept = spectrum > _LEAST * spectrum[-1]
        back = vectors[:, kept] / np.sqrt(spectrum[kept])
        features_of_rows = np.exp(-gamma * between) @ back
        spectrum, turn = np.linalg.eigh(features_of_rows.T @ features_of_rows)
        yield Decomposition(found, spectrum, features_of_rows @ turn, back @ turn)


def _squares(first: Array, second: NDArray[np.floating[Any]]) -> Array:
    """Squared distances."""
    points = second.astype(np.float64)
    square = (first**2).sum(1)[:, None] + (points**2).sum(1) - 2 * first @ points.T
    return np.maximum(square, 0.0)
