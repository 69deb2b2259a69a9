"""The shape of peaks: a mixture of a Gaussian and a Lorentzian of equal width (pseudo-Voigt)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

Floats = NDArray[np.float64]

#: A peak is computed up to so many widths on both sides: beyond lie 4 % of a Lorentzian.
_REACH = 8.0
_LN2 = float(np.log(2))


def pseudo_voigt(offset: Floats, width: Floats, mixing: float) -> tuple[Floats, Floats]:
    """The profile of unit area, and its slope.

    Args:
        offset: From the middle of the peak, degrees.
        width: Full width at half maximum, degrees, broadcast with `offset`.
        mixing: Share of the Lorentzian, 0 to 1.

    Returns:
        Values and derivatives by `offset`, 1/° and 1/°².
    """
    x = 2 * offset / width
    gauss = np.exp(-_LN2 * x**2) * (2 * np.sqrt(_LN2 / np.pi) / width)
    lorentz = 1 / (1 + x**2)
    height = 2 / (np.pi * width)
    value = (1 - mixing) * gauss + mixing * height * lorentz
    slope = -2 * x * ((1 - mixing) * _LN2 * gauss + mixing * height * lorentz**2)
    return value, slope * 2 / width


@dataclass(frozen=True, eq=False)
class Peaks:
    """Peaks of unit area on a grid, as sparse matrices of shape (points, peaks).

    Args:
        value: Values.
        slope: Derivatives by the angle of the grid, 1/°.
        growth: Derivatives by the logarithm of the width.
    """

    value: csc_matrix
    slope: csc_matrix
    growth: csc_matrix

    @staticmethod
    def of(two_theta: Floats, centres: Floats, widths: Floats, mixing: float) -> "Peaks":
        """The profiles of peaks.

        Args:
            two_theta: The grid, ascending degrees, shape (points,).
            centres: Of the peaks, degrees, shape (peaks,); NaN for what is not diffracted.
            widths: Full widths at half maximum, degrees, shape (peaks,).
            mixing: Share of the Lorentzian, 0 to 1.
        """
        known = np.isfinite(centres)
        centres, widths = np.where(known, centres, -1e6), np.where(known, widths, 1.0)
        first = np.searchsorted(two_theta, centres - _REACH * widths)
        last = np.searchsorted(two_theta, centres + _REACH * widths)
        counts = last - first
        starts = np.append(0, np.cumsum(counts)).astype(np.int32)
        point = np.arange(starts[-1], dtype=np.int32)
        point += np.repeat(first - starts[:-1], counts).astype(np.int32)
        offset = two_theta[point] - np.repeat(centres, counts)
        value, slope = pseudo_voigt(offset, np.repeat(widths, counts), mixing)
        shape = len(two_theta), len(centres)
        # With the width w, profile = f(x / w) / w.
        parts = value, slope, -(value + offset * slope)
        return Peaks(*(csc_matrix((data, point, starts), shape=shape) for data in parts))
