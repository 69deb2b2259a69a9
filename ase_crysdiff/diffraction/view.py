"""A scan as a fit sees it: more or less blurred, weighted, and blind to a slow background."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ase_crysdiff.diffraction.scan import FWHM, Scan

Floats = NDArray[np.float64]

#: Blurs, full widths at half maximum in degrees.
_COARSE, _MEDIUM = 0.9, 0.35
#: Points within the width of a blurred peak.
_POINTS = 4.0
#: Degree of the polynomial that corrects the background.
_DEGREE = 4
#: Calculated intensities are off by about this share, and by this share of the highest peak.
RELATIVE_ERROR, FLOOR = 0.15, 0.01


@dataclass(frozen=True, eq=False)
class View:
    """A blurred scan whose weighted sum of squares is 1.

    Args:
        two_theta: Even grid, degrees, shape (points,).
        blur: Full width at half maximum of the Gaussian that blurs, degrees.
        width: Of the peaks without it, degrees.
        weights: Of the points, shape (points,).
        slow: Orthonormal weighted polynomials, shape (points, degree + 1).
        seen: The weighted scan without what polynomials explain, shape (points,).
    """

    two_theta: Floats
    blur: float
    width: float
    weights: Floats
    slow: Floats
    seen: Floats

    @staticmethod
    def of(scan: Scan, blur: float) -> "View":
        """The view of a scan with a blur in degrees; 0 leaves it sharp."""
        size = 1
        grid, values, noise = scan.two_theta, scan.net, scan.noise
        if blur > 0:
            sigma = blur / FWHM / scan.step
            values = gaussian_filter1d(values, sigma, mode="nearest")
            noise = noise / np.sqrt(1 + 2 * np.sqrt(np.pi) * sigma)
            size = max(1, int(np.hypot(blur, scan.width) / _POINTS / scan.step))
        kept = len(grid) // size * size
        grid, values = (x[:kept].reshape(-1, size).mean(1) for x in (grid, values))
        floor = max(noise, FLOOR * float(values.max()))
        weights = 1 / np.hypot(floor, RELATIVE_ERROR * np.maximum(values, 0))
        powers = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(grid)), _DEGREE)
        slow, _ = np.linalg.qr(weights[:, None] * powers)
        seen = weights * values
        seen = seen - slow @ (slow.T @ seen)
        norm = np.linalg.norm(seen)
        return View(grid, blur, scan.width, weights / norm, slow, seen / norm)

    def __call__(self, values: Floats) -> Floats:
        """Calculated intensities as they are compared with `seen`.

        Args:
            values: Shape (points, ...).
        """
        weighted = self.weights.reshape(-1, *[1] * (values.ndim - 1)) * values
        found: Floats = weighted - self.slow @ (self.slow.T @ weighted)
        return found


@dataclass(frozen=True, eq=False)
class Views:
    """A scan as it is seen from far and from near.

    Args:
        scan: The scan.
        coarse: Blurred by more than the errors of a lattice move a peak.
        medium: Blurred by a little more than a peak is wide.
        sharp: As it is.
    """

    scan: Scan
    coarse: View
    medium: View
    sharp: View

    @staticmethod
    def of(scan: Scan) -> "Views":
        """The views of a scan."""
        return Views(scan, *(View.of(scan, blur) for blur in (_COARSE, _MEDIUM, 0.0)))

    def beyond_noise(self, residual: float) -> float:
        """The misfit R of the sharp view without the share of the noise."""
        noise = min(self.scan.noise**2 * float((self.sharp.weights**2).sum()), 0.99)
        return float(np.sqrt(max(residual**2 - noise, 0.0) / (1 - noise)))
