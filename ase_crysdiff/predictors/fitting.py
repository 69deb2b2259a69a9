"""Fits a forest and a kernel regression to frozen descriptors."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.predictors.averaging import (
    FOREST,
    KERNEL,
    ZEROS,
    filled,
    regressions,
    spread_of_trees,
)
from ase_crysdiff.predictors.descriptors.describing import (
    Described,
)
from ase_crysdiff.predictors.heads.forest import Forest, ForestSettings
from ase_crysdiff.predictors.heads.kernel import RIDGES, KernelRidge, decompositions
from ase_crysdiff.predictors.heads.squash import Squash
from ase_crysdiff.shapes import Float, Tensor

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

#: What a forest of every table is: random forest on element statistics, volume and density.
PLAIN = ForestSettings(trees=100)
#: Share of zeros from which they are told apart first.
_MANY = 0.1


@dataclass(frozen=True)
class Size:
    """How much is kept of what was learned.

    Args:
        forest: How it is grown.
        points: Rows that a kernel regression is built on, at most.
        thrifty: Whether the kernel regression learns from all rows and stands on a few, kept in
            half precision; else it knows no other rows.
    """

    forest: ForestSettings
    points: int
    thrifty: bool = False


#: What stands before the error of that forest on cards.
PLAIN_ERROR = "error of a forest on composition and density"
FULL = Size(ForestSettings(trees=100, extra=True, share=0.4, leaf=2), 2000)
#: About a megabyte whatever the number of rows.
SMALL = Size(ForestSettings(trees=40, extra=True, share=0.5, leaf=5), 400, thrifty=True)


@dataclass(frozen=True)
class Fitted:
    """Models that were fitted to training rows.

    Args:
        forest: On descriptors with a meaning.
        kernel: On all; None where it is not wanted.
        squash: The scale that both answer on.
        fill: Means of the training rows, in place of NaN, shape (columns,).
        zeros: Tells how probably the value is 0, where many are; forest and kernel regression then
            know the other rows only.
    """

    forest: Forest
    kernel: KernelRidge | None
    squash: Squash
    fill: Array
    zeros: Forest | None = None

    def learned(self, described: Described) -> dict[str, Array]:
        """What the models answer, after the transform of the property."""
        known = filled(described, self.fill)
        return regressions(self.forest, self.kernel, self.squash, self.zeros, known)

    def spread(self, described: Described, typical: float) -> Array:
        """How far the trees are apart, where the forest answers alone."""
        return spread_of_trees(self.forest, self.squash, filled(described, self.fill), typical)

    def tensors(self) -> dict[str, Tensor]:
        """For the weights of a predictor."""
        heads: dict[str, Forest | KernelRidge | None] = {
            FOREST: self.forest,
            KERNEL: self.kernel,
            ZEROS: self.zeros,
        }
        found = {"fill": torch.from_numpy(self.fill)}
        for name, head in heads.items():
            if head is not None:
                found |= {f"{name}.{k}": tensor for k, tensor in head.tensors().items()}
        return found


def fit(
    described: Described,
    learned: Array,
    train: Sequence[int],
    validation: Sequence[int],
    seed: int,
    size: Size = FULL,
    with_kernel: bool = True,
) -> tuple[Fitted, Fitted]:
    """Fits to the training rows, with width and ridge of the kernel by the validation rows; then
    once more, with those, to both together.

    Args:
        described: All rows.
        learned: Their values after the transform of the property.
        train: Positions of the training rows.
        validation: Of the validation rows.
        seed: Of the forest.
        size: How much is kept.
        with_kernel: Whether there is a kernel regression beside the forest.

    Returns:
        The models that know the training rows only, by which to weigh and to calibrate; and those
        to predict with.

    Raises:
        MissingExtraError: If scikit-learn is not installed.
    """
    train, validation = list(train), list(validation)
    both = [*train, *validation]
    many = has_many_zeros(learned[train]) and bool((learned[validation] != 0).any())
    known, fill = _filled_rows(described, train)
    zeros = _zeros(known, learned[train], seed, size) if many else None
    own, own_validation = (
        _amounts(rows, learned) if many else rows for rows in (train, validation)
    )
    known = filled(described.select(own), fill)
    asked, truth = filled(described.select(own_validation), fill), learned[own_validation]
    choose = _chosen_kernel if with_kernel else _chosen_forest
    forest, kernel, squash, ridge = choose(known, learned[own], asked, truth, seed, size)
    first = Fitted(forest, kernel, squash, fill, zeros)
    known, fill = _filled_rows(described, both)
    zeros = _zeros(known, learned[both], seed, size) if many else None
    own = _amounts(both, learned) if many else both
    known = filled(described.select(own), fill)
    squash = Squash.of(learned[own], squash.bent)
    wanted = squash.forward(learned[own])
    forest = Forest.grown(known.few, wanted, size.forest, seed)
    if kernel is not None:
        rows, points = _points(len(own), seed, size)
        (basis,) = decompositions(known.all[rows], known.widths, (kernel.gamma,), points)
        kernel = basis.solved(wanted[rows], ridge)
    return first, Fitted(forest, kernel, squash, fill, zeros)


def _chosen_kernel(
    known: Described, values: Array, asked: Described, truth: Array, seed: int, size: Size
) -> tuple[Forest, KernelRidge | None, Squash, float]:
    """Forest and kernel regression with the width, ridge and scale that the latter errs least with
    on validation rows.
    """
    kernel, squash, ridge = chosen_kernel(known, values, asked, truth, seed, size)
    forest = Forest.grown(known.few, squash.forward(values), size.forest, seed)
    return forest, kernel, squash, ridge


def chosen_kernel(
    known: Described, values: Array, asked: Described, truth: Array, seed: int, size: Size = FULL
) -> tuple[KernelRidge, Squash, float]:
    """A kernel regression with the width, ridge and scale that it errs least with on validation
    rows.

    Args:
        known: The training rows, none NaN.
        values: Theirs, after the transform of the property.
        asked: The validation rows, none NaN.
        truth: Their values, likewise.
        seed: Of the rows that it stands on, where they are many.
        size: How much is kept.

    Returns:
        The regression, on the scale of the second; and the ridge.
    """
    best = None
    squashes = [Squash.of(values, bent) for bent in (False, True)]
    rows, points = _points(len(values), seed, size)
    for basis in decompositions(known.all[rows], known.widths, points=points):
        between = basis.bare.kernel(asked.all)
        for squash, ridge in product(squashes, RIDGES):
            kernel = basis.solved(squash.forward(values)[rows], ridge)
            answer = squash.inverse(between @ kernel.coefficients.astype(np.float64))
            error = float(np.abs(answer - truth).mean())
            if best is None or error < best[0]:
                best = error, kernel, squash, ridge
    assert best is not None
    return best[1:]


def _chosen_forest(
    known: Described, values: Array, asked: Described, truth: Array, seed: int, size: Size
) -> tuple[Forest, KernelRidge | None, Squash, float]:
    """A forest alone, on the scale that it errs least with on validation rows."""
    best = None
    for bent in (False, True):
        squash = Squash.of(values, bent)
        forest = Forest.grown(known.few, squash.forward(values), size.forest, seed)
        error = float(np.abs(squash.inverse(forest.predict(asked.few)) - truth).mean())
        if best is None or error < best[0]:
            best = error, forest, squash
    assert best is not None
    return best[1], None, best[2], 0.0


def has_many_zeros(learned: Array) -> bool:
    """Whether 0 is an answer of another kind: no gap, no superconductor."""
    share = float((learned == 0).mean())
    return bool((learned >= 0).all()) and _MANY <= share <= 1 - _MANY


def _amounts(rows: Sequence[int], learned: Array) -> list[int]:
    """The rows that are not 0."""
    return [row for row in rows if learned[row] != 0]


def _zeros(known: Described, learned: Array, seed: int, size: Size) -> Forest:
    return Forest.grown(known.few, (learned == 0).astype(np.float64), size.forest, seed)


def _points(rows: int, seed: int, size: Size) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """The rows that a kernel regression learns from, and which of these it stands on; None for all
    of them.
    """
    everything = np.arange(rows)
    if rows <= size.points:
        return everything, everything if size.thrifty else None
    chosen = np.sort(np.random.default_rng(seed).choice(rows, size.points, replace=False))
    return (everything, chosen) if size.thrifty else (chosen, None)


def _filled_rows(described: Described, rows: Sequence[int]) -> tuple[Described, Array]:
    """Rows without NaN, and the means that stand in their place; 0 where all are NaN."""
    chosen = described.select(rows)
    table = chosen.all
    seen = np.isfinite(table)
    fill = np.where(seen, table, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
    return filled(chosen, fill), fill


def plain_forest(
    described: Described, learned: Array, train: Sequence[int], asked: Sequence[int], seed: int
) -> Array:
    """What a random forest on composition and density answers: the row of every table.

    Raises:
        MissingExtraError: If scikit-learn is not installed.
    """
    table = described.formula_and_density
    forest = Forest.grown(table[list(train)], learned[list(train)], PLAIN, seed)
    return forest.predict(table[list(asked)])


def restored(learned: Array, transform: str | None) -> Float[Tensor, " crystals"]:
    """Values in their unit."""
    return transform_of(transform).inverse(torch.from_numpy(learned))
