"""What a predictor is worth on rows held out, beside what costs nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.metrics.base import bootstrap
from ase_crysdiff.shapes import Float, Tensor

#: Share of errors that one standard deviation of a normal law holds.
ONE_SIGMA = 0.6827


def calibration(errors: Float[Tensor, " crystals"], std: Float[Tensor, " crystals"]) -> float:
    """The factor with which 68 % of the errors are smaller than the standard deviation, with the
    correction for few rows.

    Args:
        errors: Absolute errors of held-out crystals.
        std: Standard deviation of the models' estimates, in the same unit.

    Source: Papadopoulos et al. 2002, normalised conformal regression.
    """
    ratios = np.sort((errors / std.clamp_min(1e-12)).numpy())
    rank = min(len(ratios), int(np.ceil(ONE_SIGMA * (len(ratios) + 1))))
    return round(float(ratios[rank - 1]), 6)


def summary(errors: NDArray[np.float64], unit: str) -> dict[str, Any]:
    """Mean absolute error with its 95 % bootstrap interval."""
    low, high = bootstrap(lambda drawn: float(drawn.mean()), errors.tolist())
    value, low, high = (round(x, 6) for x in (float(np.mean(errors)), low, high))
    return {"value": value, "interval": [low, high], "rows": len(errors), "unit": unit}


def rows_of_part(
    part: str,
    answers: Mapping[str, Float[Tensor, " crystals"]],
    known: Float[Tensor, " crystals"],
    unit: str,
) -> dict[str, Any]:
    """Errors of several answers for the rows of a part, each under a name that begins with it.

    Args:
        part: "validation" or "test".
        answers: By what their error is called, such as "MAE".
        known: What the table says.
        unit: Of the values.
    """
    return {
        f"{part} {name}": summary((found - known).abs().numpy(), unit)
        for name, found in answers.items()
    }


def coverage(
    errors: Float[Tensor, " crystals"], uncertainty: Float[Tensor, " crystals"]
) -> dict[str, Any]:
    """The share of errors within the uncertainty, which should be 68 %."""
    held = (errors <= uncertainty).double().mean() if len(errors) else torch.tensor(torch.nan)
    return {"value": round(float(held), 4), "expected": ONE_SIGMA}
