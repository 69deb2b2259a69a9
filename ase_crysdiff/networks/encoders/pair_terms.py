"""The geometric term of every ordered pair of atoms in CSPNet's first edge map, W [sin 2πk δ, cos
2πk δ]: two ways to compute it.

`FourierPairs` is exact and differentiable, for training. `TabulatedPairs` looks the term up and
interpolates, for sampling. Where the network reads directions and distances of the nearest images,
they are further odd and even features beside the sines and cosines; tables do not hold them.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import torch
from torch.nn import functional

from ase_crysdiff.crystal.batch import Block
from ase_crysdiff.networks.embeddings import fourier_features
from ase_crysdiff.networks.encoders.near_pairs import AXES, cell_angles, near_features
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
        """The term of every ordered pair, given the weights of the odd and the even features, and
        for the sines and cosines among them a table or None.
        """
        ...


@dataclass(frozen=True)
class NearImages:
    """What the terms need for directions and distances of the nearest images.

    Args:
        lattice: Of all crystals of the batch, rows in Å, shape (crystals, 3, 3).
        distances: Functions of the distance.
    """

    lattice: Tensor
    distances: int

    def features(
        self, block: Block, difference: Float[Tensor, "count pairs 3"]
    ) -> tuple[Float[Tensor, "count pairs 3"], Float[Tensor, "count pairs distances"]]:
        """Directions, which are odd, and functions of the distance, which are even."""
        return near_features(difference, self.lattice[block.crystals], self.distances)

    def dense(
        self, block: Block, frac_coords: Float[Tensor, "atoms 3"]
    ) -> Float[Tensor, "count size size features"]:
        """Both of every ordered pair, directions first."""
        directions, radial = self.features(block, _differences(block, frac_coords))
        itself = radial.new_zeros(block.count, block.size, AXES + self.distances)
        there = torch.cat([directions, radial], -1)
        back = torch.cat([-directions, radial], -1)
        _, order, _ = _pairs(block.size, radial.device)
        rows = torch.cat([there, back, itself], 1).index_select(1, order)
        return rows.unflatten(1, (block.size, block.size))


class CellAngles(NearImages):
    """What the terms need for directions as FlowMM has them, without functions of the distance."""

    def features(
        self, block: Block, difference: Float[Tensor, "count pairs 3"]
    ) -> tuple[Float[Tensor, "count pairs 3"], Float[Tensor, "count pairs distances"]]:
        directions = cell_angles(difference, self.lattice[block.crystals])
        return directions, difference[..., :0]


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


def _differences(
    block: Block, frac_coords: Float[Tensor, "atoms 3"]
) -> Float[Tensor, "count pairs 3"]:
    """f_j - f_i of the pairs i < j."""
    frac = block.view(frac_coords)
    (i, j), _, _ = _pairs(block.size, frac.device)
    return frac[:, j] - frac[:, i]


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
    """Odd and even features for i < j only: a swap of the atoms turns the sign of the odd ones, not
    of the even ones, so one product serves both.

    Args:
        block: The crystals.
        odd: Sines, and directions if any, shape (count, pairs, features).
        even: Cosines, and functions of the distance if any, shape (count, pairs, features).
        cosines: How many of the even features are cosines.
    """

    block: Block
    odd: Tensor
    even: Tensor
    cosines: int

    @classmethod
    def of(
        cls,
        block: Block,
        frac_coords: Float[Tensor, "atoms 3"],
        frequencies: int,
        products: torch.dtype,
        near: "NearImages | None" = None,
    ) -> "FourierPairs":
        """Features of f_j - f_i, in the number format of the products."""
        difference = _differences(block, frac_coords)
        odd, even = fourier_features(difference, frequencies)
        cosines = even.shape[-1]
        if near is not None:
            directions, radial = near.features(block, difference)
            odd, even = torch.cat([odd, directions], -1), torch.cat([even, radial], -1)
        return cls(block, odd.to(products), even.to(products), cosines)

    def dense(
        self, odd: Tensor, even: Tensor, table: Tensor | None
    ) -> Float[Tensor, "count size size hidden"]:
        block = self.block
        from_odd, from_even = product(self.odd, odd), product(self.even, even)
        # All cosines of a zero difference are 1; an atom has no distance and direction to itself.
        itself = even[:, : self.cosines].sum(1).expand(block.count, block.size, -1)
        _, order, inverse = _pairs(block.size, odd.device)
        return _OrderedPairs.apply(from_odd, from_even, itself, order, inverse)


@dataclass(frozen=True)
class TabulatedPairs:
    """The term is a sum of one periodic function per axis: each is tabulated and interpolated with
    four points (Lagrange).

    Args:
        block: The crystals.
        rows: Rows of the table, shape (count * size², 12).
        weights: Their weights, same shape.
        near: Directions and functions of the distance, shape (count, size, size, features); None
            without them.
    """

    block: Block
    rows: Tensor
    weights: Tensor
    near: Tensor | None = None

    @classmethod
    def of(
        cls,
        block: Block,
        frac_coords: Float[Tensor, "atoms 3"],
        points: int,
        products: torch.dtype,
        near: NearImages | None = None,
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
        features = None if near is None else near.dense(block, frac_coords).to(products)
        return cls(block, rows.flatten(1), weights.flatten(1), features)

    def dense(
        self, odd: Tensor, even: Tensor, table: Tensor | None
    ) -> Float[Tensor, "count size size hidden"]:
        assert table is not None
        weights = self.weights.to(table.dtype)
        terms = functional.embedding_bag(self.rows, table, mode="sum", per_sample_weights=weights)
        size = self.block.size
        terms = terms.to(odd.dtype).view(self.block.count, size, size, -1)
        if self.near is None:
            return terms
        distances = self.near.shape[-1] - AXES
        added = torch.cat([odd[:, -AXES:], even[:, even.shape[1] - distances :]], 1)
        return terms.add_(product(self.near, added))


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
