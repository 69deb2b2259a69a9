"""The pattern of a crystal as a function of a few numbers, and its gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.diffraction.orientation import march_dollase
from ase_crysdiff.diffraction.profile import profile
from ase_crysdiff.diffraction.radiation import Radiation, two_theta_of
from ase_crysdiff.diffraction.reflections import Reflections, lorentz_polarisation
from ase_crysdiff.diffraction.view import View

Floats = NDArray[np.float64]

#: What may change, in the order of the parameters.
SHIFT, WIDTH, SLOPE, THERMAL, TEXTURE, STRAIN, SITES = (
    "zero shift", "width", "slope of the width", "thermal motion", "texture", "strain", "sites",
)
#: How far each is expected to be off: degrees, logarithm, logarithm, Å², logarithm, and for the
#: change of the volume, other strains (both as elongations) and atoms (Å).
EXPECTED = {SHIFT: 0.05, WIDTH: 0.2, SLOPE: 0.3, THERMAL: 0.6, TEXTURE: 0.4}
VOLUME_ERROR, SHAPE_ERROR, SITE_ERROR = 0.04, 0.025, 0.25


@dataclass(frozen=True, eq=False)
class Model:
    """Calculated intensities of one crystal.

    Args:
        reflections: Of the crystal, beyond the end of the scan.
        radiation: Of the scan.
        axis: Normal of the planes that crystallites lie on, Cartesian in the unstrained cell.
    """

    reflections: Reflections
    radiation: Radiation
    axis: Floats | None = None

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where the parameters of each kind stand."""
        counts = dict.fromkeys((SHIFT, WIDTH, SLOPE, THERMAL, TEXTURE), 1)
        counts[STRAIN] = len(self.reflections.strains)
        counts[SITES] = self.reflections.crystal.scaffold.free
        ends = np.cumsum(list(counts.values())).tolist()
        return {
            name: slice(end - count, end) for (name, count), end in zip(counts.items(), ends, strict=True)
        }

    @cached_property
    def expected(self) -> Floats:
        """How far each parameter is expected to be from 0."""
        strains = np.full(len(self.reflections.strains), SHAPE_ERROR)
        strains[0] = np.sqrt(3) * VOLUME_ERROR
        basis = self.reflections.coordinate_basis
        moved = np.einsum("aik,ij->ajk", basis, self.reflections.crystal.lattice)
        # An atom of the orbit moves by so many Å when the number changes by 1.
        reach = np.linalg.norm(moved, axis=1).max(0, initial=0)
        return np.concatenate([list(EXPECTED.values()), strains, SITE_ERROR / np.maximum(reach, 1e-9)])

    def start(self) -> Floats:
        """The crystal as it came."""
        return np.zeros(len(self.expected))

    def mask(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """The parameters of these kinds."""
        found = np.zeros(len(self.expected), bool)
        for name in names:
            found[self.places[name]] = True
        if self.axis is None:
            found[self.places[TEXTURE]] = False
        return found

    def intensities(self, numbers: Floats) -> tuple[Floats, Floats, Floats]:
        """Areas of the peaks, their gradient by all parameters but strain, and 1/d."""
        reflections = self.reflections
        inverse_d = reflections.inverse_d(numbers[self.places[STRAIN]])
        sites = reflections.crystal.free_numbers + numbers[self.places[SITES]]
        squared, slopes = reflections.structure_factors(inverse_d, sites)
        theta = np.arcsin(np.minimum(self.radiation.wavelength * inverse_d / 2, 0.9999))
        thermal = float(numbers[self.places[THERMAL]][0])
        factor = reflections.multiplicity * lorentz_polarisation(theta) * np.exp(-thermal * inverse_d**2 / 2)
        gradient = np.zeros((len(squared), len(numbers)))
        if self.axis is not None:
            texture, slope = self._texture(float(numbers[self.places[TEXTURE]][0]))
            gradient[:, self.places[TEXTURE]] = (factor * squared * slope)[:, None]
            factor = factor * texture
        gradient[:, self.places[SITES]] = factor[:, None] * slopes
        gradient[:, self.places[THERMAL]] = -(factor * squared * inverse_d**2 / 2)[:, None]
        return factor * squared, gradient, inverse_d

    def _texture(self, exponent: float) -> tuple[Floats, Floats]:
        """Mean factors of the families and their derivatives by ln r."""
        starts, counts = self.reflections.starts, self.reflections.multiplicity
        reciprocal = np.linalg.inv(self.reflections.crystal.lattice).T
        vectors = self.reflections.members @ reciprocal
        step = 1e-4
        low, middle, high = (
            np.add.reduceat(march_dollase(vectors, self.axis, float(np.exp(exponent + d))), starts) / counts
            for d in (-step, 0.0, step)
        )
        return middle, (high - low) / (2 * step)

    def widths(self, numbers: Floats, centres: Floats, view: View) -> tuple[Floats, Floats]:
        """Full widths at half maximum, degrees, with the blur, and their share without it."""
        growth = numbers[self.places[WIDTH]][0] + numbers[self.places[SLOPE]][0] * _along(centres, view)
        own = view.width * np.exp(growth)
        total = np.hypot(own, view.blur)
        return total, (own / total) ** 2

    def pattern(self, numbers: Floats, view: View) -> tuple[Floats, Floats]:
        """Calculated intensities on the grid of a view, and their gradient.

        Returns:
            Shapes (points,) and (points, parameters).
        """
        areas, slopes, inverse_d = self.intensities(numbers)
        steps = self.reflections.inverse_d_gradient(numbers[self.places[STRAIN]])
        shift = float(numbers[self.places[SHIFT]][0])
        total = np.zeros(len(view.two_theta))
        gradient = np.zeros((len(view.two_theta), len(numbers)))
        mixing = _mixing(view)
        for wavelength, share in self.radiation.lines:
            centres = two_theta_of(inverse_d, wavelength)
            widths, own = self.widths(numbers, centres, view)
            shape, slope = profile(view.two_theta, centres + shift, widths, mixing)
            known = np.isfinite(centres)
            weight = np.where(known, share * areas, 0.0)
            total += shape @ weight
            # d(2θ)/d(1/d) = λ / cos θ.
            angle = np.degrees(wavelength / np.cos(np.radians(np.where(known, centres, 0.0)) / 2))
            gradient += shape @ (share * np.where(known[:, None], slopes, 0.0))
            columns = np.zeros_like(slopes)
            columns[:, self.places[STRAIN]] = (weight * angle)[:, None] * steps
            columns[:, self.places[SHIFT]] = weight[:, None]
            gradient -= slope @ columns
            # Width: d(profile)/d(ln w) = -(profile + x d(profile)/dx).
            broad = _broadening(view.two_theta, centres + shift, shape, slope)
            at = np.where(known, _along(centres, view), 0.0)
            pair = np.stack([weight * own, weight * own * at], 1)
            gradient[:, self.places[WIDTH].start : self.places[SLOPE].stop] -= broad @ pair
        return total, gradient


def _broadening(grid: Floats, centres: Floats, shape: "np.ndarray", slope: "np.ndarray"):
    found = slope.tocoo()
    offset = grid[found.row] - centres[found.col]
    found.data = found.data * offset
    return found.tocsr() + shape


def _along(centres: Floats, view: View) -> Floats:
    """Position in the scan from -1 to 1."""
    first, last = view.two_theta[0], view.two_theta[-1]
    return (2 * centres - first - last) / (last - first)


def _mixing(view: View) -> float:
    """Share of the Lorentzian: a blur is Gaussian."""
    return 0.5 * view.width / float(np.hypot(view.width, view.blur))
