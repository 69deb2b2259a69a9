"""Wavelengths of powder diffraction, as numbers and by the names of X-ray lines."""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.errors import InputError

Floats = NDArray[np.float64]

#: Wavelengths in Å that can be meant.
SHORTEST, LONGEST = 0.16, 6.0
#: Intensity of the line α1 against α2, and of the mean of both that a plain α stands for.
_ALPHA_1, _ALPHA_2 = 2 / 3, 1 / 3
_HOW = (
    'Give the wavelength in Å, such as 1.5406, or the name of a line, such as "CuKa1", or "CuKa" '
    "for both lines of the doublet."
)


@dataclass(frozen=True)
class Radiation:
    """X-rays of one wavelength, or of a doublet.

    Args:
        name: Of the line, or the wavelength as text.
        lines: Wavelength in Å and share of the intensity of each line.
    """

    name: str
    lines: tuple[tuple[float, float], ...]

    @property
    def wavelength(self) -> float:
        """The mean over the lines, Å."""
        return sum(length * share for length, share in self.lines)

    @property
    def shortest(self) -> float:
        """The shortest wavelength, Å."""
        return min(length for length, _ in self.lines)


def radiation(wavelength: Any) -> Radiation:
    """What a user means by a wavelength.

    Args:
        wavelength: In Å, or one of pymatgen's names; a name without a number of the line, such as
            "CuKa", is the doublet of α1 and α2 that a laboratory source gives, in a ratio of 2:1.

    Raises:
        InputError: If it is no wavelength.
    """
    if isinstance(wavelength, Radiation):
        return wavelength
    if isinstance(wavelength, str):
        return _named(wavelength.strip())
    if isinstance(wavelength, bool) or not isinstance(wavelength, numbers.Real):
        raise InputError(f"A wavelength is a number or a name, got {wavelength!r}. {_HOW}")
    value = float(wavelength)
    if not SHORTEST <= value <= LONGEST:
        raise InputError(
            f"A wavelength must be between {SHORTEST} and {LONGEST:g} Å, got {value!r}."
            f"{_other_unit(value)} {_HOW}"
        )
    return Radiation(f"{value:g} Å", ((value, 1.0),))


def _named(name: str) -> Radiation:
    from pymatgen.analysis.diffraction.xrd import WAVELENGTHS

    known = {key.lower(): key for key in WAVELENGTHS}
    found = known.get(name.lower().replace("α", "a").replace("β", "b").replace("-", ""))
    if found is None:
        try:
            return radiation(float(name))
        except ValueError:
            raise InputError(
                f"No line is called {name!r}. Known are {', '.join(sorted(WAVELENGTHS))}. {_HOW}"
            ) from None
    if f"{found}2" not in WAVELENGTHS:
        return Radiation(found, ((WAVELENGTHS[found], 1.0),))
    doublet = (WAVELENGTHS[f"{found}1"], _ALPHA_1), (WAVELENGTHS[f"{found}2"], _ALPHA_2)
    return Radiation(found, doublet)


def _other_unit(value: float) -> str:
    """A hint at the unit that was meant."""
    for unit, factor in (("nm", 10.0), ("pm", 0.01), ("m", 1e10)):
        if SHORTEST <= value * factor <= LONGEST:
            return f" In {unit} it would be {value * factor:g} Å."
    return ""


def d_spacings(two_theta: Floats, wavelength: float) -> Floats:
    """Bragg's law: distances of planes in Å from angles in degrees.

    Args:
        two_theta: Degrees, above 0 and below 180.
        wavelength: Å.
    """
    found: Floats = wavelength / (2 * np.sin(np.radians(two_theta) / 2))
    return found


def two_theta_of(inverse_d: Floats, wavelength: float) -> Floats:
    """Bragg's law: angles in degrees from 1/d in 1/Å; NaN where nothing is diffracted.

    Args:
        inverse_d: Lengths of reciprocal vectors, 1/Å.
        wavelength: Å.
    """
    sine = wavelength * np.asarray(inverse_d) / 2
    with np.errstate(invalid="ignore"):
        found: Floats = 2 * np.degrees(np.arcsin(np.where(sine < 1, sine, np.nan)))
    return found
