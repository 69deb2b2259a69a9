"""Preferred orientation, looked for along a few axes of the crystals that fit best."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.diffraction.fit import Outcome, minimise
from ase_crysdiff.diffraction.model import TEXTURE, THERMAL, Model, normal_of
from ase_crysdiff.diffraction.placing import ALL_KINDS, Fitted
from ase_crysdiff.diffraction.view import Views

Floats = NDArray[np.float64]

#: Looked at are so many of the best fits, if none is better than the second number, and only those
#: that are better than the third.
_TEXTURED, _GOOD, _HOPELESS = 5, 0.12, 0.85
#: It is believed if R falls to this share.
_BETTER = 0.9
#: Normals of planes that crystallites may lie on, in the conventional cell.
_AXES = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
#: Steps of least squares.
_STEPS = 8


def look_for_texture(found: list[Fitted | str], views: Views) -> None:
    """Replaces the best fits by such with preferred orientation where those are better.

    Args:
        found: The fits; changed.
        views: Of the scan.
    """
    fits = {i: one for i, one in enumerate(found) if not isinstance(one, str)}
    misfits = {i: views.beyond_noise(outcome.residual) for i, (_, outcome) in fits.items()}
    if not misfits or min(misfits.values()) < _GOOD:
        return
    for i in sorted(misfits, key=misfits.__getitem__)[:_TEXTURED]:
        if misfits[i] > _HOPELESS:
            continue
        model, before = fits[i]
        tried = [_with_texture(model, before, axis, views) for axis in _axes(model)]
        best = min(tried, key=lambda pair: pair[1].cost)
        if views.beyond_noise(best[1].residual) < _BETTER * misfits[i]:
            found[i] = best


def _with_texture(model: Model, start: Outcome, axis: tuple[int, int, int], views: Views) -> Fitted:
    textured = replace(model, axis=axis)
    found = minimise(textured, views.sharp, start.numbers, (THERMAL, TEXTURE), _STEPS)
    kinds = (*ALL_KINDS, TEXTURE)
    return textured, minimise(textured, views.sharp, found.numbers, kinds, _STEPS)


def _axes(model: Model) -> list[tuple[int, int, int]]:
    """Normals that the symmetry tells apart."""
    kept: list[tuple[int, int, int]] = []
    reflections = model.reflections

    def direction(axis: tuple[int, int, int]) -> Floats:
        normal = normal_of(reflections.crystal, axis)
        found: Floats = normal / np.linalg.norm(normal)
        return found

    for axis in _AXES:
        images = reflections.turns @ direction(axis)
        if not any((np.abs(images @ direction(other)) > 1 - 1e-6).any() for other in kept):
            kept.append(axis)
    return kept
