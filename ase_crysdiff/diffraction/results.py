"""What is said of a crystal that was fitted to a powder pattern."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.diffraction.orientation import Texture

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curves:
    """A scan and what a crystal makes of it, on one grid.

    Args:
        two_theta: Degrees, shape (points,).
        measured: Intensities, shape (points,).
        background: What lies below the peaks, shape (points,).
        calculated: Intensities of the crystal without the background, shape (points,).
        reflections: Angles of the reflections, degrees, and areas of their peaks as shares of the
            strongest, shape (reflections, 2).
        hkl: Their indices in the primitive standard cell, shape (reflections, 3).
    """

    two_theta: Floats
    measured: Floats
    background: Floats
    calculated: Floats
    reflections: Floats
    hkl: Ints

    @property
    def difference(self) -> Floats:
        """Measured less calculated and background."""
        return self.measured - self.background - self.calculated


@dataclass(frozen=True, eq=False)
class PatternFit:
    """A crystal fitted to a powder pattern.

    Args:
        index: Its place among the crystals that were given.
        structure: With the lattice and the free coordinates that fit best, in the primitive
            standard cell of its space group; as it was given if it could not be fitted.
        residual: R, the weighted misfit beyond the noise: 0 for a perfect fit, 1 if nothing is
            explained.
        explained: Share of the measured intensity above the background that is calculated.
        missing: Share of the calculated intensity that was not measured.
        volume_change: Of the cell, as a share of the volume that it came with.
        zero_shift: By how much the angles are read too large, degrees.
        width: Full width at half maximum of the peaks, degrees.
        scale: From the calculated intensity of a cell, in electrons², to the unit of the pattern.
        thermal: Overall B of thermal motion, Å².
        texture: Preferred orientation; None if there is none.
        free: Numbers of the crystal that were fitted: of the lattice and of the sites.
        curves: The pattern and the fit; None if it could not be fitted.
        remark: What to think of it, or why it could not be fitted.
    """

    index: int
    structure: Structure
    residual: float
    explained: float = 0.0
    missing: float = 1.0
    volume_change: float = 0.0
    zero_shift: float = 0.0
    width: float = 0.0
    scale: float = 0.0
    thermal: float = 0.0
    texture: Texture | None = None
    free: tuple[int, int] = (0, 0)
    curves: Curves | None = None
    remark: str = ""
