"""A forest of regression trees as plain arrays: grown by scikit-learn, asked by numpy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.errors import MissingExtraError
from ase_crysdiff.shapes import Tensor

Array = NDArray[np.float64]

_NAMES = ("feature", "threshold", "left", "right", "value", "roots")
#: Marks a node without children.
_LEAF = -1


@dataclass(frozen=True)
class ForestSettings:
    """How a forest is grown.

    Args:
        trees: How many.
        extra: Whether cuts are drawn at random and the best of them is taken (extremely randomised
            trees); else the best cut of a resample is taken (random forest).
        share: Of the features that each cut may choose from.
        leaf: Rows in every leaf, at least.

    Source: Breiman, Machine Learning 45, 5 (2001); Geurts et al., Machine Learning 63, 3 (2006).
    """

    trees: int = 200
    extra: bool = False
    share: float = 0.33
    leaf: int = 1


@dataclass(frozen=True)
class Forest:
    """The mean of trees. A row goes left at a node if its feature is at most the threshold.

    Args:
        feature: Column that each node looks at, -1 for leaves, shape (nodes,).
        threshold: In single precision, as features are compared, shape (nodes,).
        left: Position of the child, shape (nodes,).
        right: Likewise.
        value: Of the rows that came to each node, shape (nodes,).
        roots: Positions of the trees' first nodes, shape (trees,).
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float32]
    roots: NDArray[np.int32]

    @staticmethod
    def grown(features: Array, values: Array, settings: ForestSettings, seed: int) -> "Forest":
        """Grows a forest.

        Args:
            features: Shape (rows, features).
            values: Shape (rows,).
            settings: How.
            seed: Of resamples and cuts.

        Raises:
            MissingExtraError: If scikit-learn is not installed.
        """
        known = ensembles()
        kind = known.ExtraTreesRegressor if settings.extra else known.RandomForestRegressor
        model = kind(
            n_estimators=settings.trees,
            max_features=settings.share,
            min_samples_leaf=settings.leaf,
            random_state=seed,
        ).fit(features.astype(np.float32), values)
        return Forest.of_trees([estimator.tree_ for estimator in model.estimators_])

    @staticmethod
    def of_trees(trees: Sequence[Any], factor: float = 1.0, middle: float = 0.0) -> "Forest":
        """From trees of scikit-learn.

        Args:
            trees: Its `tree_` objects.
            factor: What all values are multiplied by.
            middle: What is then added.
        """
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        children = [
            [np.where(side == _LEAF, _LEAF, side + start) for side in sides]
            for sides, start in zip(
                ((t.children_left, t.children_right) for t in trees), starts[:-1], strict=True
            )
        ]
        left, right = (np.concatenate(side) for side in zip(*children, strict=True))
        feature = np.concatenate([tree.feature for tree in trees])
        return Forest(
            np.where(left == _LEAF, _LEAF, feature).astype(np.int16),
            _not_above(np.concatenate([tree.threshold for tree in trees])),
            left.astype(np.int32),
            right.astype(np.int32),
            (middle + factor * np.concatenate([tree.value[:, 0, 0] for tree in trees])).astype(
                np.float32
            ),
            starts[:-1].astype(np.int32),
        )

    def predict(self, features: Array) -> Array:
        """The mean over the trees, shape (rows,)."""
        return self.moments(features)[0]

    def moments(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation over the trees, each of shape (rows,)."""
        table = features.astype(np.float32)
        rows = np.arange(len(table))
        total, squares = np.zeros(len(table)), np.zeros(len(table))
        for root in self.roots:
            node = np.full(len(table), root)
            while True:
                inner = np.flatnonzero(self.feature[node] != _LEAF)
                if not len(inner):
                    break
                at = node[inner]
                low = table[rows[inner], self.feature[at]] <= self.threshold[at]
                node[inner] = np.where(low, self.left[at], self.right[at])
            total += self.value[node]
            squares += self.value[node].astype(np.float64) ** 2
        mean = total / len(self.roots)
        return mean, np.sqrt(np.maximum(squares / len(self.roots) - mean**2, 0.0))

    def tensors(self) -> dict[str, Tensor]:
        """For the weights of a predictor."""
        return {name: torch.from_numpy(getattr(self, name)) for name in _NAMES}

    @staticmethod
    def of_tensors(tensors: Mapping[str, Tensor]) -> "Forest":
        """From the weights of a predictor."""
        return Forest(**{name: tensors[name].numpy() for name in _NAMES})


def ensembles() -> Any:
    """The room of scikit-learn where trees grow.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import sklearn.ensemble
    except ImportError as error:
        raise MissingExtraError(
            "Growing trees needs scikit-learn: pip install 'ase-crysdiff[benchmark]'. Predictors "
            "that have some work without."
        ) from error
    return sklearn.ensemble


def _not_above(thresholds: Array) -> NDArray[np.float32]:
    """The nearest single-precision numbers that are not above the thresholds: single-precision
    features compare with them as with the thresholds.
    """
    rounded = thresholds.astype(np.float32)
    lower = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > thresholds, lower, rounded)
