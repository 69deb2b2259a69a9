"""Where the lattice of a crystal may lie: many strains at once against a blurred scan."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.stats import norm, qmc

from ase_crysdiff.diffraction.model import SHAPE_ERROR, Model
from ase_crysdiff.diffraction.radiation import two_theta_of
from ase_crysdiff.diffraction.scan import FWHM
from ase_crysdiff.diffraction.view import View

Floats = NDArray[np.float64]

#: Strains that are looked at, by the number of them that the symmetry leaves free.
_TRIALS = {1: 101, 2: 384, 3: 768, 4: 1024, 5: 1024, 6: 1024}
#: The length of an edge is looked for up to this share away.
_FARTHEST = 0.08
#: Two strains closer than this lead to the same place.
_APART = 0.008


def starts(model: Model, view: View, count: int) -> list[Floats]:
    """Strains from which to fit, the best first.

    Args:
        model: Of the crystal.
        view: A blurred one.
        count: At most so many.
    """
    strains = _trials(len(model.reflections.strains))
    found = _likeness(model, view, strains)
    order = np.argsort(-found)
    kept: list[Floats] = []
    for i in order.tolist():
        if all(np.abs(strains[i] - strains_).max() > _APART for strains_ in kept):
            kept.append(strains[i])
        if len(kept) == count:
            break
    return kept


def _trials(free: int) -> Floats:
    """Strains spread evenly over what is expected, those of no shape change among them."""
    if free == 1:
        return np.linspace(-_FARTHEST, _FARTHEST, _TRIALS[1])[:, None] * np.sqrt(3)
    numbers = qmc.Halton(free, scramble=False).random(_TRIALS[free] + 1)[1:]
    spread = norm.ppf(numbers) * SHAPE_ERROR * 1.2
    spread[:, 0] = (2 * numbers[:, 0] - 1) * _FARTHEST * np.sqrt(3)
    shapeless = np.zeros((41, free))
    shapeless[:, 0] = np.linspace(-_FARTHEST, _FARTHEST, 41) * np.sqrt(3)
    return np.concatenate([shapeless, spread])


def _likeness(model: Model, view: View, strains: Floats) -> Floats:
    """Cosine between the calculated and the measured pattern for each strain."""
    areas = model.intensities(model.start()).areas
    grid = view.two_theta
    step = float(grid[1] - grid[0])
    centres = two_theta_of(model.reflections.inverse_d(strains), model.radiation.wavelength)
    place = (centres - grid[0]) / step
    inside = np.isfinite(place) & (place >= 0) & (place < len(grid) - 1)
    lower = np.where(inside, place, 0).astype(int)
    share = np.where(inside, place - lower, 0.0)
    weight = np.where(inside, areas, 0.0)
    row = np.arange(len(strains))[:, None] * len(grid) + lower
    size = len(strains) * len(grid)
    values = np.bincount(row.ravel(), (weight * (1 - share)).ravel(), size)
    values += np.bincount(np.minimum(row + 1, size - 1).ravel(), (weight * share).ravel(), size)
    width = np.hypot(view.blur, view.width) / FWHM / step
    blurred = gaussian_filter1d(values.reshape(len(strains), -1), width, axis=1)
    seen = view(blurred.T)
    size_of = np.sqrt(np.maximum((seen**2).sum(0), 1e-30))
    return (view.seen @ seen) / size_of
