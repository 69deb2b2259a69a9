"""The powder pattern that a structure would give."""

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from ase_crysdiff.arguments import above_zero, not_negative
from ase_crysdiff.crystal.convert import as_structure
from ase_crysdiff.diffraction.orientation import Texture, march_dollase
from ase_crysdiff.diffraction.pattern import Pattern
from ase_crysdiff.diffraction.profile import Peaks
from ase_crysdiff.diffraction.radiation import radiation, two_theta_of
from ase_crysdiff.errors import InputError

Floats = NDArray[np.float64]

#: Share of the Lorentzian in the peaks.
_MIXING = 0.5
#: Reflections from this angle to so far beyond the last, degrees, reach into the scan.
_LOWEST, _BEYOND = 0.5, 2.0
#: Tolerance of the symmetry that says which reflections are equivalent, Å.
_SYMPREC = 0.01


def simulate_pattern(
    structure: Structure | Atoms,
    *,
    wavelength: Any = 1.5406,
    two_theta: tuple[float, float] = (10.0, 80.0),
    step: float = 0.02,
    width: float = 0.15,
    noise: float = 0.0,
    background: float = 0.0,
    zero_shift: float = 0.0,
    impurity: Structure | Atoms | None = None,
    impurity_share: float = 0.1,
    texture: Texture | None = None,
    rng: np.random.Generator | None = None,
) -> Pattern:
    """A scan as a diffractometer would measure it, from pymatgen's `XRDCalculator`.

    Peaks are half Gaussian and half Lorentzian, of one width. The highest point of the structure's
    own peaks is 100.

    Args:
        structure: The crystal.
        wavelength: Å, or the name of a line.
        two_theta: First and last angle, degrees.
        step: Of the scan, degrees.
        width: Full width at half maximum, degrees.
        noise: Standard deviation of a point, as a share of the highest peak.
        background: Height at the first angle as a share of the highest peak: it falls to a third.
        zero_shift: By how much all angles are read too large, degrees.
        impurity: Another crystal in the powder.
        impurity_share: Its highest peak, as a share of the structure's.
        texture: Preferred orientation of the structure's crystallites; indices in the given cell.
        rng: Of the noise; needed if there is any.

    Raises:
        InputError: If a number makes no sense, or noise is asked for without a generator.
    """
    first, last = two_theta
    if not 0 < first < last < 180:
        raise InputError(
            f"A scan goes from one angle up to another between 0 and 180°, got {two_theta}."
        )
    noise = not_negative("noise", noise)
    if noise > 0 and rng is None:
        raise InputError("Noise needs a generator: pass rng=numpy.random.default_rng(0).")
    used = radiation(wavelength)
    count = round((last - first) / above_zero("step", step, "degrees"))
    grid: Floats = first + step * np.arange(count + 1, dtype=np.float64)
    width = above_zero("width", width, "degrees")
    own = _peaks(as_structure(structure), grid - zero_shift, used.lines, width, texture)
    values = 100 * own / _highest(own)
    if impurity is not None:
        other = _peaks(as_structure(impurity), grid - zero_shift, used.lines, width, None)
        values += 100 * not_negative("impurity_share", impurity_share) * other / _highest(other)
    fall = np.exp(-np.log(3) * (grid - first) / (last - first))
    values += 100 * not_negative("background", background) * fall
    if rng is not None:
        values += rng.normal(0, 100 * noise, len(grid))
    return Pattern(grid, values, used)


def _peaks(
    structure: Structure,
    grid: Floats,
    lines: tuple[tuple[float, float], ...],
    width: float,
    texture: Texture | None,
) -> Floats:
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    shortest = min(length for length, _ in lines)
    reach = min(float(grid[-1]) + _BEYOND, 179.0)
    try:
        found = XRDCalculator(shortest).get_pattern(structure, False, (_LOWEST, reach))
    except ValueError as error:
        raise InputError(
            f"{structure.composition.reduced_formula} has no pattern up to {reach:g}° ({error}). "
            "Take a wider range of angles, a shorter wavelength, or known elements."
        ) from error
    heights = np.array(found.y)
    if texture is not None:
        heights = heights * _orientation(structure, found.hkls, texture)
    total = np.zeros(len(grid))
    for length, share in lines:
        centres = two_theta_of(1 / np.array(found.d_hkls), length)
        shape = Peaks.of(grid, centres, np.full(len(centres), width), _MIXING).value
        total += shape @ (share * heights)
    return total


def _orientation(structure: Structure, peaks: Any, texture: Texture) -> list[float]:
    """The mean factor of the families of each peak; pymatgen gives one member of each."""
    reciprocal = structure.lattice.reciprocal_lattice_crystallographic
    axis = reciprocal.get_cartesian_coords(texture.axis)
    operations = SpacegroupAnalyzer(structure, _SYMPREC).get_symmetry_operations()
    rotations = np.rint([operation.rotation_matrix for operation in operations])
    found = []
    for families in peaks:
        total = weight = 0.0
        for family in families:
            hkl = family["hkl"]
            first = [hkl[0], hkl[1], hkl[-1]]  # a hexagonal cell has four indices
            vectors = reciprocal.get_cartesian_coords(np.unique(first @ rotations, axis=0))
            factor = march_dollase(vectors, axis, texture.strength).mean()
            total += family["multiplicity"] * float(factor)
            weight += family["multiplicity"]
        found.append(total / weight)
    return found


def _highest(values: Floats) -> float:
    highest = float(values.max(initial=0))
    if not highest > 0:
        raise InputError(
            "The structure has no reflection in this range of angles. Take a wider range, or a "
            "shorter wavelength."
        )
    return highest
