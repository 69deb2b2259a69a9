"""Powder patterns from arrays, files and lists of lines."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.diffraction.pattern import Pattern, pattern_of_lines
from ase_crysdiff.diffraction.radiation import Radiation, radiation, two_theta_of
from ase_crysdiff.diffraction.scan import scan_of
from ase_crysdiff.errors import InputError

Floats = NDArray[np.float64]

#: A scan has so many points at least; a list of lines has fewer than the second number, at uneven
#: distances.
_FEWEST_POINTS, _MOST_LINES = 50, 400
_FEWEST_LINES = 3
#: The longest step of a scan against its usual one.
_EVEN = 3.0
#: Numbers up to this, in Å, are distances of planes; angles of a list go further.
_LONGEST_D = 15.0
#: A scan of angles in degrees goes further than this, for wavelengths above 1.2 Å.
_SHORT_SCAN, _SHORT_WAVELENGTH = 14.0, 1.2
#: Noise around 0 may be negative, up to this share of the highest intensity.
_NEGATIVE = 0.2
_COMMENTS = "#!;%'*/\""
_EXPECTED = (
    "Expected two columns: angles 2θ in degrees and intensities (a third column, of errors, is not "
    "read), or a list of lines as distances of planes d in Å and intensities."
)


def read_pattern(source: Any, wavelength: Any = 1.5406, *, column: str | None = None) -> Pattern:
    """A measured powder pattern.

    Args:
        source: Two columns as an array of shape (points, 2), a pair of arrays, a file with columns
            of numbers below any number of comment lines (`.xy`, `.xye`, `.csv`, `.dat`, `.txt`), a
            pattern of pymatgen, or a `Pattern`. A scan has angles in degrees at even distances; few
            lines at uneven ones are a list of peaks, by angle or by distance of planes in Å.
        wavelength: Å, or the name of a line, such as "CuKa1"; "CuKa" is the doublet.
        column: What the first column holds: "two_theta" or "d"; None recognises it.

    Raises:
        InputError: If it cannot be read, its columns hold something else, or nothing stands out of
            the noise.
    """
    if isinstance(source, Pattern):
        return source
    used = radiation(wavelength)
    if column not in (None, "two_theta", "d"):
        raise InputError(f"column is 'two_theta', 'd' or None, got {column!r}.")
    first, second, name = _columns(source)
    _check_numbers(first, second, name)
    few = len(first) < _MOST_LINES and _is_uneven(first)
    if few or column == "d":
        return _lines(first, second, used, column, name)
    _check_scan(first, used, column, name)
    pattern = Pattern(first, second, used)
    scan_of(pattern)  # refuses what has no peaks
    return pattern


def _columns(source: Any) -> tuple[Floats, Floats, str]:
    """Both columns, and how messages call the source."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return *_pair(_numbers_of(path), path.name), path.name
    if hasattr(source, "x") and hasattr(source, "y"):
        source = np.stack([np.asarray(source.x), np.asarray(source.y)], 1)
    try:
        values = np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"This is no pattern: {error}. {_EXPECTED}") from None
    return *_pair(values, "the pattern"), "the pattern"


def _pair(values: Floats, name: str) -> tuple[Floats, Floats]:
    if values.ndim == 2 and values.shape[0] == 2 and values.shape[1] > 3:
        values = values.T
    if values.ndim != 2 or values.shape[1] not in (2, 3) or not len(values):
        shape = " × ".join(map(str, values.shape))
        raise InputError(f"{name} has the shape {shape}. {_EXPECTED}")
    return values[:, 0].copy(), values[:, 1].copy()


def _numbers_of(path: Path) -> Floats:
    """The table of numbers in a file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}). Give the path of a file, or an array."
        ) from error
    except UnicodeDecodeError:
        raise InputError(
            f"{path.name} is no text. Export the scan as columns of text (.xy or .csv): the "
            "formats of instruments are not read."
        ) from None
    rows = list(_rows(text.splitlines(), path.name))
    if not rows:
        raise InputError(f"{path.name} holds no columns of numbers. {_EXPECTED}")
    return np.array(rows)


def _rows(lines: Iterable[str], name: str) -> Iterable[list[float]]:
    """Lines of numbers; what stands above the first of them is a heading."""
    count = 0
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text[0] in _COMMENTS:
            continue
        row = _row(text)
        if row is None and count == 0:
            continue
        if row is None or (count and len(row) != count):
            raise InputError(
                f"{name}, line {number}: {text[:60]!r} does not have the {count} numbers of the "
                f"lines above. {_EXPECTED}"
            )
        count = len(row)
        yield row


def _row(text: str) -> list[float] | None:
    """The numbers of a line; None if something else stands in it."""
    if ";" in text:  # columns of a table whose decimal sign may be a comma
        text = text.replace(",", ".")
    fields = [field for field in re.split(r"[\s,;]+", text) if field]
    try:
        return [float(field) for field in fields] or None
    except ValueError:
        return None


def _check_numbers(first: Floats, second: Floats, name: str) -> None:
    bad = np.flatnonzero(~(np.isfinite(first) & np.isfinite(second)))
    if len(bad):
        i = int(bad[0])
        raise InputError(
            f"{name}: row {i + 1} is ({first[i]:g}, {second[i]:g}); all numbers must be finite. "
            "Remove such rows."
        )
    if (first <= 0).any():
        raise InputError(
            f"{name}: the first column has {first.min():g}; angles and distances are above 0. "
            f"{_EXPECTED}"
        )
    if second.min() < -_NEGATIVE * max(float(second.max()), 0.0) and second.min() < 0:
        raise InputError(
            f"{name}: intensities go from {second.min():g} to {second.max():g}; they must not be "
            f"negative beyond the noise. {_EXPECTED} Do not take derivatives or differences."
        )
    if len(np.unique(first)) < len(first):
        values, counts = np.unique(first, return_counts=True)
        raise InputError(
            f"{name}: {values[counts > 1][0]:g} occurs {counts.max()} times in the first column. "
            "Every angle must occur once: give one scan, or the sum of several."
        )


def _is_uneven(first: Floats) -> bool:
    steps = np.abs(np.diff(np.sort(first)))
    return len(first) < _FEWEST_POINTS or bool(steps.max() > _EVEN * np.median(steps))


def _lines(
    first: Floats, second: Floats, used: Radiation, column: str | None, name: str
) -> Pattern:
    """The pattern of a list of lines."""
    kept = second > 0
    if kept.sum() < _FEWEST_LINES:
        raise InputError(
            f"{name} has {int(kept.sum())} lines with an intensity above 0. A list needs "
            f"{_FEWEST_LINES} at least, a scan {_FEWEST_POINTS} points."
        )
    angles, heights = first[kept], second[kept]
    if column == "d" or (column is None and angles.max() <= _LONGEST_D):
        angles = two_theta_of(1 / angles, used.wavelength)
        heights = heights[np.isfinite(angles)]
        angles = angles[np.isfinite(angles)]
        if len(angles) < _FEWEST_LINES:
            raise InputError(
                f"{name}: the distances go from {first.min():g} to {first.max():g} Å, and "
                f"{used.name} sees none below {used.wavelength / 2:.3g} Å. Check the unit and the "
                "wavelength."
            )
    elif angles.max() >= 180:
        raise InputError(f"{name}: an angle of {angles.max():g}° is beyond 180°. {_EXPECTED}")
    order = np.argsort(angles)
    return pattern_of_lines(angles[order], heights[order], used)


def _check_scan(first: Floats, used: Radiation, column: str | None, name: str) -> None:
    """Refuses what is no scan of angles in degrees."""
    if (np.diff(first) <= 0).any():
        i = int(np.flatnonzero(np.diff(first) <= 0)[0])
        raise InputError(
            f"{name}: the first column goes from {first[i]:g} to {first[i + 1]:g} at row {i + 2}. "
            "Angles of a scan must ascend: sort the rows, or give one scan alone."
        )
    if first[-1] >= 180:
        raise InputError(f"{name}: an angle of {first[-1]:g}° is beyond 180°. {_EXPECTED}")
    if column == "two_theta":
        return
    what = None
    if first[-1] <= np.pi:
        what = "radians, or a length of the scattering vector"
    elif first[-1] < _SHORT_SCAN and used.wavelength > _SHORT_WAVELENGTH:
        what = "a length of the scattering vector Q = 2π/d in 1/Å, or d in Å"
    if what is not None:
        raise InputError(
            f"{name}: the first column goes from {first[0]:g} to {first[-1]:g}, which looks like "
            f"{what}. Expected angles 2θ in degrees at a wavelength of {used.wavelength:g} Å. "
            "Convert them (2θ = 2 arcsin(λ / 2d)), or say column='two_theta' if they are degrees."
        )
