"""Least squares of a model's numbers against one view of a scan."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.diffraction.model import Model
from ase_crysdiff.diffraction.view import View

Floats = NDArray[np.float64]

#: Numbers that are as far off as expected cost this much of the sum of squares, which is 1 for a
#: model that explains nothing.
STIFFNESS = 2e-4
_DAMPING, _EASIER, _HARDER, _MOST = 1e-3, 0.2, 8.0, 1e6
_ENOUGH = 1e-3


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where a fit has ended.

    Args:
        numbers: Of the model.
        residual: Weighted residual R, 0 for a perfect fit and 1 for none.
        cost: R² and the cost of the numbers.
        scale: Of the calculated intensities, in units of the view.
    """

    numbers: Floats
    residual: float
    cost: float
    scale: float


def minimise(
    model: Model,
    view: View,
    numbers: Floats,
    names: tuple[str, ...],
    steps: int,
    enough: float = _ENOUGH,
) -> Outcome:
    """The least cost near some numbers, by damped Gauss-Newton steps.

    The scale is always the best one, and left out of the problem.

    Args:
        model: The calculated pattern.
        view: The measured one.
        numbers: To start from.
        names: Kinds of numbers that change.
        steps: At most so many.
        enough: A step that gains less than this share of the cost is the last.

    Source: variable projection as in Kaufman, BIT 15, 49 (1975); damping as in Marquardt, SIAM J.
        Appl. Math. 11, 431 (1963).
    """
    names = model.kinds(*names)
    free = model.mask(names)
    precision = STIFFNESS / model.expected**2
    best, normal, right = _linearised(model, view, numbers, names, precision)
    damping = _DAMPING
    for _ in range(steps):
        moved = best.numbers.copy()
        system = normal + damping * np.diag(np.diag(normal))
        step = np.linalg.solve(system, right)
        moved[free] += np.clip(step, -model.expected[free], model.expected[free])
        trial, new_normal, new_right = _linearised(model, view, moved, names, precision)
        if trial.cost < best.cost:
            gain = best.cost - trial.cost
            best, normal, right = trial, new_normal, new_right
            damping *= _EASIER
            if gain < enough * best.cost:
                break
        else:
            damping *= _HARDER
            if damping > _MOST:
                break
    return best


def _linearised(
    model: Model, view: View, numbers: Floats, names: tuple[str, ...], precision: Floats
) -> tuple[Outcome, Floats, Floats]:
    """Cost, and the normal equations of the numbers that change."""
    free = model.mask(names)
    values, gradient = model.pattern(numbers, view, names)
    seen = view(values)
    size = float(seen @ seen)
    scale = max(float(seen @ view.seen) / size, 0.0) if size > 0 else 0.0
    rest = view.seen - scale * seen
    columns = scale * view(gradient)
    columns = columns - np.outer(seen, seen @ columns / size) if size > 0 else columns
    off = numbers[free]
    residual = float(rest @ rest)
    cost = residual + float(precision @ numbers**2)
    normal = columns.T @ columns + np.diag(precision[free])
    right = columns.T @ rest - precision[free] * off
    return Outcome(numbers, residual**0.5, cost, scale), normal, right
