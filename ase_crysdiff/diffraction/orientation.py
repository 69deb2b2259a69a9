"""Preferred orientation of the crystallites of a powder."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def march_dollase(vectors: Floats, axis: Floats, strength: float) -> Floats:
    """By how much reflections are stronger than without preferred orientation.

    Args:
        vectors: Reciprocal vectors, shape (reflections, 3).
        axis: Normal of the planes that lie flat, shape (3,).
        strength: r: 1 for none, below 1 for plates, above 1 for needles.

    Returns:
        Shape (reflections,).

    Source: Dollase, J. Appl. Cryst. 19, 267 (1986), equation 3.
    """
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(axis)
    squared = np.clip((vectors @ axis / lengths) ** 2, 0, 1)
    found: Floats = (strength**2 * squared + (1 - squared) / strength) ** -1.5
    return found
