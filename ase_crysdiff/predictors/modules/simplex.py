"""Weights that are not negative and add up to 1."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ase_crysdiff.errors import InputError

#: Smaller weights are none.
LEAST = 1e-3


def simplex_weights(
    predictions: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The w ≥ 0 with Σ w = 1 that minimise |P w - y|².

    With the errors R = P - y 1ᵀ that is the point of a convex hull that lies nearest to the origin,
    min |R w|². For every direction w the x = s w that minimises |R x|² + (Σ x - 1)² has
    s = 1 / (1 + |R w|²) and the value |R w|² / (1 + |R w|²), so that non-negative least squares of
    that finds the direction exactly, with no penalty to choose.

    Args:
        predictions: P, of every model in a column, shape (rows, models).
        values: y, shape (rows,).

    Returns:
        Shape (models,); weights below `LEAST` are zero.

    Raises:
        InputError: If numbers are not finite.
    """
    errors = predictions - values[:, None]
    if not np.isfinite(errors).all():
        raise InputError("Predictions and values must be finite numbers.")
    scale = float(np.sqrt(np.mean(errors**2) * len(errors))) or 1.0
    system = np.vstack([errors / scale, np.ones(errors.shape[1])])
    wanted = np.append(np.zeros(len(errors)), 1.0)
    found, _ = nnls(system, wanted)
    weights: NDArray[np.float64] = found / found.sum()
    weights[weights < LEAST] = 0.0
    return weights / weights.sum()
