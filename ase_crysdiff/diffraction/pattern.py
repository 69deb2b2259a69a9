"""A measured powder pattern."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.diffraction.radiation import Radiation

Floats = NDArray[np.float64]

#: Full width at half maximum of the peaks that stand for a list of lines, degrees.
LINE_WIDTH = 0.2


@dataclass(frozen=True, eq=False)
class Pattern:
    """Intensities over the angle of diffraction.

    Args:
        two_theta: Degrees, ascending, shape (points,).
        intensity: In any unit, shape (points,).
        radiation: With which it was measured.
        peaks: Angles in degrees and intensities of the lines that it was made of, shape (lines, 2);
            None for a scan.
    """

    two_theta: Floats
    intensity: Floats
    radiation: Radiation
    peaks: Floats | None = None

    def __len__(self) -> int:
        return len(self.two_theta)

    @property
    def step(self) -> float:
        """The usual distance of two points, degrees."""
        return float(np.median(np.diff(self.two_theta)))

    @property
    def largest_inverse_d(self) -> float:
        """1/d at the last angle, 1/Å."""
        sine = np.sin(np.radians(self.two_theta[-1]) / 2)
        return float(2 * sine / self.radiation.shortest)


def pattern_of_lines(two_theta: Floats, intensity: Floats, radiation: Radiation) -> Pattern:
    """The scan that a list of lines stands for, without noise and background.

    It begins at 5°, or before the first line, so that lines that a crystal should have there and
    that are not on the list are missed, and ends behind the last.

    Args:
        two_theta: Degrees, ascending, shape (lines,).
        intensity: Shape (lines,).
        radiation: Of the angles.
    """
    from ase_crysdiff.diffraction.profile import Peaks

    first = max(min(5.0, two_theta[0] - 2.0), two_theta[0] / 2)
    last = min(two_theta[-1] + 4 * LINE_WIDTH, 179.0)
    grid = np.arange(first, last, LINE_WIDTH / 8)
    shape = Peaks.of(grid, two_theta, np.full(len(two_theta), LINE_WIDTH), 0.5).value
    peaks = np.stack([two_theta, intensity], 1)
    return Pattern(grid, shape @ intensity, radiation, peaks)
