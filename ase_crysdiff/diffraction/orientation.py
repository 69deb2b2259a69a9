"""Preferred orientation of the crystallites of a powder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Texture:
    """Crystallites that lie on one of their faces, or along an edge.

    Args:
        axis: Indices h, k, l of the planes that lie flat.
        strength: r of March and Dollase: 1 for none, below 1 for plates, above 1 for needles.
    """

    axis: tuple[int, int, int]
    strength: float


def march_dollase(vectors: Floats, axis: Floats, strength: float) -> Floats:
    """By how much reflections are stronger than without preferred orientation.

    Args:
        vectors: Reciprocal vectors, shape (reflections, 3).
        axis: Normal of the planes that lie flat, shape (3,).
        strength: r of `Texture`.

    Returns:
        Shape (reflections,).

    Source: Dollase, J. Appl. Cryst. 19, 267 (1986), equation 3.
    """
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(axis)
    squared = np.clip((vectors @ axis / lengths) ** 2, 0, 1)
    found: Floats = (strength**2 * squared + (1 - squared) / strength) ** -1.5
    return found
