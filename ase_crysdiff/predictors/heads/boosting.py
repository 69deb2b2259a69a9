"""Trees that each mend what those before it have left: few nodes know much of many rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.predictors.heads.forest import Forest, ensembles

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BoostingSettings:
    """How trees are grown one after the other.

    Args:
        trees: How many.
        depth: Cuts from the first node of a tree to a leaf, at most.
        rate: Share of what is left that each tree mends.
        rows: Share of the rows that each tree sees.
        share: Of the features that each cut may choose from.
        leaf: Rows in every leaf, at least.

    Source: Friedman, Comput. Stat. Data Anal. 38, 367 (2002).
    """

    trees: int = 250
    depth: int = 8
    rate: float = 0.08
    rows: float = 0.5
    share: float = 0.12
    leaf: int = 3


def boosted(features: Array, values: Array, settings: BoostingSettings, seed: int) -> Forest:
    """Grows trees whose sum answers, kept as a forest whose mean it is.

    Args:
        features: Shape (rows, features).
        values: Shape (rows,).
        settings: How.
        seed: Of rows and cuts.

    Raises:
        MissingExtraError: If scikit-learn is not installed.
    """
    middle = float(values.mean())
    model = (
        ensembles()
        .GradientBoostingRegressor(
            n_estimators=settings.trees,
            max_depth=settings.depth,
            learning_rate=settings.rate,
            subsample=settings.rows,
            max_features=settings.share,
            min_samples_leaf=settings.leaf,
            random_state=seed,
            init="zero",
        )
        .fit(features.astype(np.float32), values - middle)
    )
    trees = [stage[0].tree_ for stage in model.estimators_]
    return Forest.of_trees(trees, settings.rate * len(trees), middle)
