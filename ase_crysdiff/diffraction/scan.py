"""What a scan says of itself: background, noise, and the width of its peaks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.signal import find_peaks, peak_widths

from ase_crysdiff.diffraction.pattern import LINE_WIDTH, Pattern
from ase_crysdiff.errors import InputError

Floats = NDArray[np.float64]

#: Points of the even grid within the width of a peak.
_POINTS = 5.0
#: Peaks lower than this share of the highest say nothing of the width.
_HIGH = 0.08
#: A peak rises from its valleys by so many standard deviations; noise alone does by 7.
_SIGNIFICANT = 9.0
#: Widths of peaks that the background passes below.
_WINDOW = 12.0
#: From a Gaussian's standard deviation to its full width at half maximum.
FWHM = 2.3548


@dataclass(frozen=True, eq=False)
class Scan:
    """A pattern on an even grid, with its background taken away.

    Args:
        pattern: As it was given.
        two_theta: Even grid, degrees, shape (points,).
        net: Intensities above the background, shape (points,).
        background: Shape (points,).
        noise: Standard deviation of a point.
        width: Full width at half maximum of the peaks, degrees.
    """

    pattern: Pattern
    two_theta: Floats
    net: Floats
    background: Floats
    noise: float
    width: float

    @property
    def step(self) -> float:
        """Of the grid, degrees."""
        return float(self.two_theta[1] - self.two_theta[0])


def scan_of(pattern: Pattern) -> Scan:
    """Background, noise and width of the peaks of a pattern.

    Raises:
        InputError: If no peaks stand out of the noise.
    """
    grid, values, noise = _even(pattern.two_theta, pattern.intensity, pattern.step)
    width = LINE_WIDTH if pattern.peaks is not None else _width(grid, values, noise)
    coarse = max(1, round(width / _POINTS / (grid[1] - grid[0])))
    grid, values, noise = _binned(grid, values, noise, coarse)
    flat = np.zeros_like(values)
    below = flat if pattern.peaks is not None else background(grid, values, width)
    return Scan(pattern, grid, values - below, below, noise, width)


def _even(two_theta: Floats, intensity: Floats, step: float) -> tuple[Floats, Floats, float]:
    """The scan on an even grid of its usual step, and its noise there."""
    count = int(np.floor((two_theta[-1] - two_theta[0]) / step + 1e-6)) + 1
    grid = two_theta[0] + step * np.arange(count)
    values = np.interp(grid, two_theta, intensity)
    # Second differences of a smooth curve are small; the median passes over peaks.
    second = values[2:] - 2 * values[1:-1] + values[:-2]
    noise = float(np.median(np.abs(second))) / 0.6745 / np.sqrt(6)
    return grid, values, noise


def _binned(grid: Floats, values: Floats, noise: float, size: int) -> tuple[Floats, Floats, float]:
    """Means of so many points each."""
    if size == 1:
        return grid, values, noise
    kept = len(grid) // size * size
    means = values[:kept].reshape(-1, size).mean(1)
    return grid[:kept].reshape(-1, size).mean(1), means, noise / float(np.sqrt(size))


def _width(grid: Floats, values: Floats, noise: float) -> float:
    """The width of the narrower half of the high peaks: wider ones are several.

    Raises:
        InputError: If no peak stands out of the noise.
    """
    step = float(grid[1] - grid[0])
    best = 0.0
    for smooth in (1.0, 2.5, 6.0):
        soft = gaussian_filter1d(values, smooth, mode="nearest")
        calm = noise / np.sqrt(2 * np.sqrt(np.pi) * smooth)
        spread = max(_SIGNIFICANT * calm, _HIGH * float(np.ptp(soft)))
        found, _ = find_peaks(soft, prominence=max(spread, 1e-12 * float(np.abs(soft).max())))
        if not len(found):
            continue
        widths = peak_widths(soft, found, 0.5)[0] * step
        # The filter has made the peaks wider.
        widths = np.sqrt(np.maximum(widths**2 - (FWHM * smooth * step) ** 2, step**2))
        best = float(np.percentile(widths, 30))
        if best > 1.5 * FWHM * smooth * step:
            continue  # peaks are wide enough to bear more smoothing
        break
    if not 0 < best < (grid[-1] - grid[0]) / 8:
        raise InputError(
            f"No peaks stand out of this pattern of {len(grid)} points between {grid[0]:g}° and "
            f"{grid[-1]:g}°. Expected a diffraction pattern of a crystal: intensities in the "
            "second column, peaks well above the noise. Check the columns, or measure longer."
        )
    return best


def background(grid: Floats, values: Floats, width: float) -> Floats:
    """A smooth curve below the peaks.

    Peaks are clipped in windows that shrink from several widths to none (SNIP), on values that are
    smoothed first so that noise is not clipped to its lower edge.

    Args:
        grid: Even, degrees.
        values: Intensities.
        width: Of the peaks, degrees.

    Source: Ryan et al., Nucl. Instrum. Methods B 34, 396 (1988); windows from wide to narrow as in
        Morháč et al., Nucl. Instrum. Methods A 401, 113 (1997), without the logarithms.
    """
    step = float(grid[1] - grid[0])
    smooth = max(1, round(width / step))
    calm = gaussian_filter1d(median_filter(values, 2 * smooth + 1, mode="nearest"), smooth)
    reach = min(max(2, round(_WINDOW * width / step / 2)), (len(grid) - 1) // 2)
    for half in range(reach, 0, -1):
        padded = np.pad(calm, half, mode="edge")
        calm = np.minimum(calm, (padded[: -2 * half] + padded[2 * half :]) / 2)
    return gaussian_filter1d(calm, 2 * smooth, mode="nearest")
