"""What compounds without a structure teach: trees that know their formulas answer for the formula
of a crystal, and what learns from crystals reads that answer beside all else.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.formula_tables import LabelledFormulas
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.predictors.averaging import FOREST, KERNEL
from ase_crysdiff.predictors.descriptors import composition
from ase_crysdiff.predictors.heads.boosting import BoostingSettings, boosted
from ase_crysdiff.predictors.heads.forest import Forest

Array = NDArray[np.float64]

#: About a megabyte whatever the number of formulas.
SETTINGS = BoostingSettings()
#: Formulas below which nothing is learned from them.
_LEAST = 50


def learned_from(
    formulas: LabelledFormulas, crystals: CrystalBatch, transform: str | None, seed: int
) -> Forest:
    """Trees that know formulas, none of them that of a crystal that is learned from or tested on.

    Args:
        formulas: With their values.
        crystals: All that are labelled.
        transform: Of the values, under which they are learned.
        seed: Of the trees.

    Raises:
        InputError: If fewer than 50 formulas are left.
        MissingExtraError: If scikit-learn is not installed.
    """
    others = formulas.without(composition.shares(crystals))
    if len(others) < _LEAST:
        raise InputError(
            f"{len(others)} of {len(formulas)} formulas are none of a labelled crystal; at least "
            f"{_LEAST} are needed to learn from."
        )
    values = transform_of(transform).forward(torch.from_numpy(others.values)).numpy()
    return boosted(composition.statistics(others.shares), values, SETTINGS, seed)


def check_readers(models: Sequence[str]) -> None:
    """Refuses formulas that no model would read.

    Args:
        models: What may take part in an average.

    Raises:
        InputError: If neither forest nor kernel regression is among them.
    """
    if not {FOREST, KERNEL} & set(models):
        raise InputError(
            "What formulas teach is read by forest and kernel regression, and "
            f"models={tuple(models)} has neither. Add one of them, or leave out the formulas."
        )


def said_of(formulas: LabelledFormulas) -> dict[str, dict[str, int]]:
    """What the card of a predictor says of them."""
    left_out = len(formulas.left_out)
    return {"formulas": {"read": len(formulas) + left_out, "kept": len(formulas)}}
