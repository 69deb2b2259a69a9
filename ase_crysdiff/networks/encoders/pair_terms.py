"""The geometric term of every ordered pair of atoms in CSPNet's first edge map, W [sin 2πk δ, cos
2πk δ]: two ways to compute it.

`FourierPairs` is exact and differentiable, for training. `TabulatedPairs` looks the term up and
interpolates, for sampling.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import torch
from torch.nn import functional

from ase_crysdiff.crystal.batch import Block
from ase_crysdiff.networks.embeddings import fourier_features
from ase_crysdiff.networks.linear import product
from ase_crysdiff.shapes import Float, Int, Tensor

#: Points of a table per Fourier frequency. With 32 the interpolation error is below that of float32
#: sines (1e-5 of the term).
POINTS_PER_FREQUENCY = 32


@runtime_checkable
class PairTerms(Protocol):
    """Geometric terms of one block of equally large crystals."""

    def dense(
        self, odd: Tensor, even: Tensor, table: Tensor | None
    ) -> Float[Tensor, "count size size hidden"]:
        """The term of every ordered pair, given the weights of the sines and cosines or a table of
        them.
        """
        ...


@lru_cache(maxsize=256)
def _pairs(
    size: int, device: torch.device
) -> tuple[Int[Tensor, "2 pairs"], Int[Tensor, " rows"], Int[Tensor, " rows"]]:
    """Pairs i < j; for every dense row i * size + j its place in [pairs, swapped pairs, diagonal];
    and the inverse.
    """
    upper = torch.triu_indices(size, size, 1)
    count = upper.shape[1]
    place = torch.empty(size, size, dtype=torch.long)
    place[upper[0], upper[1]] = torch.arange(count)
    place[upper[1], upper[0]] = torch.arange(count) + count
    place[range(size), range(size)] = torch.arange(size) + 2 * count
    place = place.flatten()
    return upper.to(device), place.to(device), torch.argsort(place).to(device)


class _OrderedPairs(torch.autograd.Function):
    """From the products for pairs i < j to every ordered pair: sum, difference for the swapped
    pair, and the diagonal.

    Written out because autograd would scatter where a gather by the inverse order does, and copy
    what is only rearranged.
    """

    @staticmethod
    def forward(
        ctx: Any, sines: Tensor, cosines: Tensor, itself: Tensor, order: Tensor, inverse: Tensor
    ) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.sizes = (sines.shape[1], sines.shape[1], itself.shape[1])
        count, pairs, hidden = sines.shape
        rows = sines.new_empty(count, 2 * pairs + itself.shape[1], hidden)
        torch.add(cosines, sines, out=rows[:, :pairs])
        torch.sub(cosines, sines, out=rows[:, pairs : 2 * pairs])
        rows[:, 2 * pairs :] = itself
        size = itself.shape[1]
        ordered = sines.new_empty(
            count, size, size, hidden
        )  # not a view: the caller adds to it in place
        torch.index_select(rows, 1, order, out=ordered.view(count, size * size, hidden))
        return ordered

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        ordered, swapped, itself = (
            gradient.flatten(1, 2).index_select(1, ctx.saved_tensors[0]).split(ctx.sizes, 1)
        )
        return ordered - swapped, ordered + swapped, itself, None, None


@dataclass(frozen=True)
class FourierPairs:
    """Sines and cosines for i < j only: a swap of the atoms turns the sign of sines, not of
    cosines, so one product serves both.

    Args:
        block: The crystals.
        sines: Shape (count, pairs, 3 * frequencies).
        cosines: Shape (count, pairs, 3 * frequencies).
    """

    block: Block
    sines: Tensor
    cosines: Tensor

    @classmethod
    def of(
        cls,
        block: Block,
        frac_coords: Float[Tensor, "atoms 3"],
        frequencies: int,
        products: torch.dtype,
    ) -> "FourierPairs":
        """Features of f_j - f_i, in the number format of the products."""
        frac = block.view(frac_coords)
        (i, j), _, _ = _pairs(block.size, frac.device)
        sines, cosines = fourier_features(frac[:, j] - frac[:, i], frequencies)
        return cls(block, sines.to(products), cosines.to(products))

    def dense(
        self, odd: Tensor, even: Tensor, table: Tensor | None
    ) -> Float[Tensor, "count size size hidden"]:
        block = self.block
        from_sines, from_cosines = product(self.sines, odd), product(self.cosines, even)
        itself = even.sum(1).expand(
            block.count, block.size, -1
        )  # all cosines of a zero difference are 1
        _, order, inverse = _pairs(block.size, odd.device)
        return _OrderedPairs.apply(from_sines, from_cosines, itself, order, inverse)


@dataclass(frozen=True)
class TabulatedPairs:
    """The term is a sum of one periodic function per axis: each is tabulated and interpolated with
    four points (Lagrange).

    Args:
        block: The crystals.
        rows: Rows of the table, shape (count * size², 12).
        weights: Their weights, same shape.
    """

    block: Block
    rows: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls, block: Block, frac_coords: Float[Tensor, "atoms 3"], points: int
    ) -> "TabulatedPairs":
        """Where f_j - f_i lies among `points` points per axis."""
        frac = block.view(frac_coords)
        place = (frac.unsqueeze(1) - frac.unsqueeze(2)).reshape(-1, 3) * points
        base = place.floor()
        x = place - base
        shifts = torch.arange(-1, 3, device=frac.device)
        axes = torch.arange(3, device=frac.device)[:, None] * points
        rows = (base.long().unsqueeze(-1) + shifts).remainder(points) + axes
        before, here, after, far = x + 1, x, x - 1, x - 2
        weights = torch.stack(
            [
                -here * after * far / 6,
                before * after * far / 2,
                -before * here * far / 2,
                before * here * after / 6,
            ],
            -1,
        )
        return cls(block, rows.flatten(1), weights.flatten(1))

    def dense(
        self, odd: Tensor, even: Tensor, table: Tensor | None
    ) -> Float[Tensor, "count size size hidden"]:
        assert table is not None
        weights = self.weights.to(table.dtype)
        terms = functional.embedding_bag(self.rows, table, mode="sum", per_sample_weights=weights)
        return terms.to(odd.dtype).view(self.block.count, self.block.size, self.block.size, -1)


def tabulate(
    odd: Float[Tensor, "hidden features"], even: Float[Tensor, "hidden features"], points: int
) -> Float[Tensor, "rows hidden"]:
    """The three periodic functions of a layer on equidistant points, axis after axis; computed in
    double precision.

    Args:
        odd: Weights of the sines, axis by axis.
        even: Weights of the cosines.
        points: Points per axis.
    """
    frequencies = odd.shape[1] // 3
    angles = (
        torch.arange(points, dtype=torch.float64)[:, None]
        * torch.arange(frequencies)
        * (2 * math.pi / points)
    )
    parts = []
    for odd_axis, even_axis in zip(
        odd.double().cpu().split(frequencies, 1),
        even.double().cpu().split(frequencies, 1),
        strict=True,
    ):
        parts.append(angles.sin() @ odd_axis.T + angles.cos() @ even_axis.T)
    return torch.cat(parts).to(device=odd.device, dtype=odd.dtype)
