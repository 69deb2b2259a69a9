"""The pattern of a crystal as a function of a few numbers, and its gradient."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.diffraction.orientation import march_dollase
from ase_crysdiff.diffraction.profile import Peaks
from ase_crysdiff.diffraction.radiation import Radiation, two_theta_of
from ase_crysdiff.diffraction.reflections import Reflections, lorentz_polarisation
from ase_crysdiff.diffraction.view import View
from ase_crysdiff.symmetry.crystal import SymmetricCrystal

Floats = NDArray[np.float64]

#: What may change, in the order of the parameters.
SHIFT, WIDTH, SLOPE, THERMAL, TEXTURE, STRAIN, SITES = (
    "zero shift",
    "width",
    "slope of the width",
    "thermal motion",
    "texture",
    "strain",
    "sites",
)
#: How far each is expected to be off: degrees, logarithm, logarithm, Å², logarithm, and for the
#: change of the volume, other strains (both as elongations) and atoms (Å).
EXPECTED = {SHIFT: 0.05, WIDTH: 0.2, SLOPE: 0.3, THERMAL: 0.6, TEXTURE: 0.4}
VOLUME_ERROR, SHAPE_ERROR, SITE_ERROR = 0.04, 0.025, 0.25

#: More free coordinates than these stay as they came: a pattern does not say so much.
_MOST_SITES = 120


@dataclass(frozen=True, eq=False)
class Peaked:
    """Peaks before they have a shape.

    Args:
        areas: Shape (families,).
        inverse_d: 1/Å, shape (families,).
        gradients: Of the areas by numbers of each kind, shape (families, numbers).
    """

    areas: Floats
    inverse_d: Floats
    gradients: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class Model:
    """Calculated intensities of one crystal.

    Args:
        reflections: Of the crystal, beyond the end of the scan.
        radiation: Of the scan.
        axis: Indices of the planes that crystallites lie on, in the conventional cell; None if they
            lie as they fall.
        squared: |F|² of the families while the atoms stay where they are; None computes them.
    """

    reflections: Reflections
    radiation: Radiation
    axis: tuple[int, int, int] | None = None
    squared: Floats | None = None

    def strongest(self, count: int) -> "Model":
        """The same with the strongest reflections alone, as the crystal came."""
        start = self.start()
        kept = np.sort(np.argsort(-self.intensities(start).areas, kind="stable")[:count])
        few = self.reflections.only(kept)
        at_rest = few.inverse_d(start[self.places[STRAIN]])
        squared, _ = few.structure_factors(at_rest, few.crystal.free_numbers, gradient=False)
        return replace(self, reflections=few, squared=squared)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where the parameters of each kind stand."""
        counts = dict.fromkeys((SHIFT, WIDTH, SLOPE, THERMAL, TEXTURE), 1)
        counts[STRAIN] = len(self.reflections.strains)
        counts[SITES] = self.reflections.crystal.scaffold.free
        ends = np.cumsum(list(counts.values())).tolist()
        return {
            name: slice(end - count, end)
            for (name, count), end in zip(counts.items(), ends, strict=True)
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
        return np.concatenate(
            [list(EXPECTED.values()), strains, SITE_ERROR / np.maximum(reach, 1e-9)]
        )

    def start(self) -> Floats:
        """The crystal as it came."""
        return np.zeros(len(self.expected))

    def kinds(self, *names: str) -> tuple[str, ...]:
        """Those of which this crystal has numbers that can be fitted, in the order of the model."""
        has = {name: place.stop > place.start for name, place in self.places.items()}
        has[TEXTURE] = self.axis is not None
        has[SITES] &= self.reflections.crystal.scaffold.free <= _MOST_SITES
        return tuple(name for name in self.places if name in names and has[name])

    def mask(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """The parameters of these kinds."""
        found = np.zeros(len(self.expected), bool)
        for name in names:
            found[self.places[name]] = True
        return found

    def intensities(self, numbers: Floats, names: Sequence[str] = ()) -> Peaked:
        """Areas of the peaks, 1/d, and the gradients of the areas by numbers of some kinds.

        Args:
            numbers: Of the model.
            names: Kinds by which the gradient is taken; the areas hardly depend on the strain.
        """
        reflections = self.reflections
        inverse_d = reflections.inverse_d(numbers[self.places[STRAIN]])
        sites = reflections.crystal.free_numbers + numbers[self.places[SITES]]
        theta = np.arcsin(np.minimum(self.radiation.wavelength * inverse_d / 2, 0.9999))
        damped = inverse_d**2 / 2
        factor = reflections.multiplicity * lorentz_polarisation(theta)
        factor = factor * np.exp(-float(numbers[self.places[THERMAL]][0]) * damped)
        texture, slope = self._texture(float(numbers[self.places[TEXTURE]][0]))
        factor = factor * texture
        slopes = np.zeros((len(inverse_d), 0))
        squared = self.squared
        if squared is None:
            squared, slopes = reflections.structure_factors(inverse_d, sites, SITES in names)
        areas = factor * squared
        gradients = {}
        if THERMAL in names:
            gradients[THERMAL] = -(areas * damped)[:, None]
        if TEXTURE in names:
            gradients[TEXTURE] = (areas * slope / texture)[:, None]
        if SITES in names:
            gradients[SITES] = factor[:, None] * slopes
        return Peaked(areas, inverse_d, gradients)

    def _texture(self, exponent: float) -> tuple[Floats, Floats]:
        """Mean factors of the families and their derivatives by ln r."""
        if self.axis is None:
            return np.ones(len(self.reflections)), np.zeros(len(self.reflections))
        starts, counts = self.reflections.starts, self.reflections.multiplicity
        crystal, step = self.reflections.crystal, 1e-4
        vectors = self.reflections.members @ np.linalg.inv(crystal.lattice).T
        normal = normal_of(crystal, self.axis)
        low, middle, high = (
            np.add.reduceat(march_dollase(vectors, normal, float(np.exp(exponent + d))), starts)
            / counts
            for d in (-step, 0.0, step)
        )
        return middle, (high - low) / (2 * step)

    def _widths(self, numbers: Floats, along: Floats, view: View) -> tuple[Floats, Floats]:
        """Full widths at half maximum with the blur, degrees, and how the logarithm changes with
        that of the width without it.
        """
        growth = numbers[self.places[WIDTH]][0] + numbers[self.places[SLOPE]][0] * along
        own = view.width * np.exp(np.clip(growth, -1.5, 1.5))
        total = np.hypot(own, view.blur)
        return total, (own / total) ** 2

    def pattern(
        self, numbers: Floats, view: View, names: Sequence[str] = ()
    ) -> tuple[Floats, Floats]:
        """Calculated intensities on the grid of a view, and their gradient.

        Args:
            numbers: Of the model.
            view: Of the scan.
            names: Kinds of numbers by which the gradient is taken, in the order of the model's.

        Returns:
            Shapes (points,) and (points, numbers of those kinds).
        """
        peaked = self.intensities(numbers, names)
        total: Any = 0.0
        gradient: Any = 0.0
        for wavelength, share in self.radiation.lines:
            line = self._line(numbers, view, names, peaked, wavelength, share)
            total, gradient = total + line[0], gradient + line[1]
        return total, gradient

    def _line(
        self,
        numbers: Floats,
        view: View,
        names: Sequence[str],
        peaked: Peaked,
        wavelength: float,
        share: float,
    ) -> tuple[Floats, Floats]:
        """What one line of the radiation gives."""
        centres = two_theta_of(peaked.inverse_d, wavelength)
        known = np.isfinite(centres)
        centres[~known] = 0.0
        along = _along(centres, view)
        widths, own = self._widths(numbers, along, view)
        places = np.where(known, centres + float(numbers[self.places[SHIFT]][0]), np.nan)
        peaks = Peaks.of(view.two_theta, places, widths, _mixing(view))
        weight = np.where(known, share * peaked.areas, 0.0)
        total = peaks.value @ weight
        # Each column is a product of the values, the slopes or the growths with one per peak.
        columns = {name: (peaks.value, share * g) for name, g in peaked.gradients.items()}
        if SHIFT in names:
            columns[SHIFT] = peaks.slope, -weight[:, None]
        if WIDTH in names:
            columns[WIDTH] = peaks.growth, (weight * own)[:, None]
        if SLOPE in names:
            columns[SLOPE] = peaks.growth, (weight * own * along)[:, None]
        if STRAIN in names:
            # d(2θ)/d(1/d) = λ / cos θ.
            angle = np.degrees(wavelength / np.cos(np.radians(centres) / 2))
            steps = self.reflections.inverse_d_gradient(numbers[self.places[STRAIN]])
            columns[STRAIN] = peaks.slope, -(weight * angle)[:, None] * steps
        found = [columns[name][0] @ columns[name][1] for name in names]
        return total, np.concatenate([np.zeros((len(total), 0)), *found], 1)


def normal_of(crystal: SymmetricCrystal, axis: tuple[int, int, int]) -> Floats:
    """The reciprocal vector of indices in the conventional cell, 1/Å."""
    found: Floats = np.array(axis, float) @ np.linalg.inv(crystal.conventional).T
    return found


def _along(centres: Floats, view: View) -> Floats:
    """Position in the scan from -1 to 1."""
    first, last = view.two_theta[0], view.two_theta[-1]
    return (2 * centres - first - last) / (last - first)


def _mixing(view: View) -> float:
    """Share of the Lorentzian: a blur is Gaussian."""
    return 0.5 * view.width / float(np.hypot(view.width, view.blur))
