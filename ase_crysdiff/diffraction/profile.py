"""The shape of peaks: a mixture of a Gaussian and a Lorentzian of equal width (pseudo-Voigt)."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Floats = NDArray[np.float64]

#: A peak is computed up to so many widths on both sides: beyond lie 2 % of a Lorentzian.
_REACH = 12.0
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


def profile(
    two_theta: Floats, centres: Floats, widths: Floats, mixing: float
) -> tuple[csr_matrix, csr_matrix]:
    """Peaks of unit area on a grid.

    Args:
        two_theta: The grid, ascending degrees, shape (points,).
        centres: Of the peaks, degrees, shape (peaks,); NaN for what is not diffracted.
        widths: Full widths at half maximum, degrees, shape (peaks,).
        mixing: Share of the Lorentzian, 0 to 1.

    Returns:
        Values, and derivatives by the angle of the grid, shape (points, peaks).
    """
    known = np.isfinite(centres)
    places = np.where(known, centres, -1e6)
    first = np.searchsorted(two_theta, places - _REACH * widths)
    last = np.searchsorted(two_theta, places + _REACH * widths)
    counts = np.where(known, last - first, 0)
    starts = np.append(0, np.cumsum(counts))
    peak = np.repeat(np.arange(len(centres)), counts)
    point = np.arange(starts[-1]) - starts[:-1][peak] + first[peak]
    value, slope = pseudo_voigt(two_theta[point] - centres[peak], widths[peak], mixing)
    shape = len(two_theta), len(centres)
    values, slopes = (
        csr_matrix((x, (point, peak)), shape=shape) for x in (value, slope)
    )
    return values, slopes
