"""Cross-validation of fine-tuning: every row is predicted once by a model that has not seen it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import Split
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.predictors.averaging import AveragedPredictor
from ase_crysdiff.predictors.base import Estimates, Predictor
from ase_crysdiff.predictors.descriptors.describing import Described
from ase_crysdiff.predictors.fitting import plain_forest, restored
from ase_crysdiff.predictors.measuring import summary
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class HeldOut:
    """Predictions of rows by models that have not seen them, fold by fold.

    Args:
        rows: Positions of the rows.
        folds: Number of the fold that each was tested in.
        values: What the table says, shape (rows,).
        predictions: In the same unit, shape (rows,).
        uncertainty: One standard deviation, NaN where it is not known, shape (rows,).
        results: Mean absolute error of all rows, with an interval, and of each fold.
    """

    rows: tuple[int, ...]
    folds: tuple[int, ...]
    values: Float[Tensor, " rows"]
    predictions: Float[Tensor, " rows"]
    uncertainty: Float[Tensor, " rows"]
    results: dict[str, Any]


def held_out_predictions(
    data: LabelledCrystals,
    splits: Sequence[Split],
    folder: Path,
    train: Callable[..., Predictor],
    described: Described | None = None,
) -> HeldOut:
    """Fine-tunes once for every split, each in a folder of its own, and collects the predictions of
    the test rows.

    Args:
        data: Clean rows.
        splits: Whose test parts do not overlap.
        folder: Of the folders of the folds; the same call goes on after an interruption.
        train: `finetune` with all but `split` and `folder` given.
        described: Descriptors of the rows, where the predictors read them.
    """
    return held_out_of(
        data,
        [
            (split, train(split=split, folder=folder / f"fold-{k}"))
            for k, split in enumerate(splits)
        ],
        described,
    )


def held_out_of(
    data: LabelledCrystals,
    trained: Sequence[tuple[Split, Predictor]],
    described: Described | None = None,
) -> HeldOut:
    """Predictions of the test rows of splits by the predictors that were trained on them.

    Args:
        data: Clean rows.
        trained: Each split with its predictor.
        described: Descriptors of the rows, where the predictors read them; None describes anew.
    """
    rows = tuple(i for split, _ in trained for i in split.test)
    found = [_of_test(data, split, one, described) for split, one in trained if split.test]
    nothing = torch.zeros(0, dtype=torch.float64)
    predictions, uncertainty = (
        torch.cat([nothing, *(f.values for f in found)]),
        torch.cat([nothing, *(f.uncertainty for f in found)]),
    )
    values = data.values[list(rows)]
    errors, unit = (predictions - values).abs(), trained[0][1].unit
    each = [
        round(float(part.mean()), 6)
        for part in errors.split([len(split.test) for split, _ in trained])
    ]
    medians = [data.values[list(split.train)].median() for split, _ in trained for _ in split.test]
    results = {}
    if rows:
        without = (torch.stack(medians) - values).abs()
        results = {
            "MAE": summary(errors.numpy(), unit),
            "MAE of each fold": {"value": each, "unit": unit},
            "error of the median": summary(without.numpy(), unit),
        }
    numbers = tuple(number for number, (split, _) in enumerate(trained) for _ in split.test)
    return HeldOut(rows, numbers, values, predictions, uncertainty, results)


def _of_test(
    data: LabelledCrystals, split: Split, predictor: Predictor, described: Described | None
) -> Estimates:
    crystals = data.crystals.select(split.test)
    if described is None or not isinstance(predictor, AveragedPredictor):
        return predictor.predict(crystals)
    return predictor.estimates(crystals, described.select(list(split.test)))


def forest_held_out(
    data: LabelledCrystals,
    splits: Sequence[Split],
    described: Described,
    transform: str | None,
    seed: int,
    unit: str,
) -> dict[str, Any]:
    """The error of a forest on composition and density of the test rows of splits, grown from all
    other rows: what a predictor is to be better than.

    Args:
        data: Clean rows.
        splits: Whose test parts do not overlap.
        described: Descriptors of the rows.
        transform: Under which the forest learns.
        seed: Of the forest.
        unit: Of the values.

    Raises:
        MissingExtraError: If scikit-learn is not installed.
    """
    learned = transform_of(transform).forward(data.values).numpy()
    errors = []
    for split in splits:
        known = [*split.train, *split.validation]
        said = plain_forest(described, learned, known, split.test, seed)
        errors.append((restored(said, transform) - data.values[list(split.test)]).abs())
    return summary(torch.cat(errors).numpy(), unit)
