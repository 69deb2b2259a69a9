"""Was a pattern measured with another wavelength than was said?"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from ase_crysdiff.crystal.convert import entries_of
from ase_crysdiff.diffraction.fitting import fit_pattern
from ase_crysdiff.diffraction.pattern import Pattern
from ase_crysdiff.diffraction.radiation import radiation
from ase_crysdiff.diffraction.ranking import is_fit

#: Lines of laboratory sources.
_USUAL = ("CuKa1", "MoKa1", "CoKa1", "CrKa1", "FeKa1", "AgKa1")
#: Wavelengths closer than this share are no other ones: the search for the lattice covers them.
_SAME = 0.05
#: So many candidates are tried with each.
_TRIED = 5


def other_wavelength(structures: Iterable[Any], pattern: Pattern) -> str | None:
    """The name of the line with which one of the first candidates would fit; None if none would.

    For a pattern that nothing fits: the same angles are read with the usual wavelengths. It takes
    about as long as the fit of twenty candidates.

    Args:
        structures: Candidates, the likeliest first; five are tried.
        pattern: As it was read.

    Raises:
        InputError: If an entry is no ordered, periodic structure.
    """
    tried = list(islice(entries_of(structures), _TRIED))
    found = {}
    for name in _USUAL:
        other = radiation(name)
        ratio = other.wavelength / pattern.radiation.wavelength
        if abs(ratio - 1) < _SAME:
            continue
        fits = [f for f in fit_pattern(tried, replace(pattern, radiation=other)) if is_fit(f)]
        if fits:
            found[name] = min(fit.residual for fit in fits)
    return min(found, key=found.__getitem__) if found else None
