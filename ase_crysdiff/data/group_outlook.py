"""What the groups of a molecule say of a property, before anything is known of its shape.

The range of the property is cut into pieces that equally many training molecules fall into. How
likely each piece is follows from the numbers of groups of each kind and their products by softmax
regression, a convex fit:

    p(piece k | groups) = softmax_k(w_k · (1, n, n nᵀ))

The density is that of the pieces at their middles, its logarithm linear between these and constant
beyond; it is normalised up to that interpolation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.nn import functional

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.molecules import groups_of
from ase_crysdiff.shapes import Float, Tensor

#: Pieces of the range, at most.
PIECES = 24
#: Weight of the square of the coefficients, against overfitting.
_RIDGE = 1e-4
#: Least molecules in a piece.
_MEMBERS = 10

#: Element and number of hydrogens of a group.
Group = tuple[int, int]


@dataclass(frozen=True)
class GroupOutlook:
    """The density of a property for molecules of given groups.

    Args:
        kinds: Groups that are counted; others say nothing.
        edges: Of the pieces, ascending, in the property's unit.
        weights: A row for each function of the counts, a column for each piece.
    """

    kinds: tuple[Group, ...]
    edges: tuple[float, ...]
    weights: Float[Tensor, "functions pieces"]

    def log_density(
        self, molecules: Sequence[Sequence[Group]], values: Float[Tensor, " values"]
    ) -> Float[Tensor, "values molecules"]:
        """Logarithm of the density of each value for each molecule.

        Args:
            molecules: Groups of each.
            values: Of the property.
        """
        functions = _functions(_counted(molecules, self.kinds))
        edges = torch.tensor(self.edges, dtype=torch.float64)
        shares = torch.log_softmax(functions @ self.weights, -1) - edges.diff().log()
        middles = (edges[1:] + edges[:-1]) / 2
        upper = torch.searchsorted(middles, values).clamp(1, len(middles) - 1)
        low, high = middles[upper - 1], middles[upper]
        part = ((values - low) / (high - low)).clamp(0, 1).unsqueeze(-1)
        return (1 - part) * shares.T[upper - 1] + part * shares.T[upper]

    def as_plain(self) -> dict[str, Any]:
        """As a config holds it."""
        rows = [[float(f"{w:.3g}") for w in row] for row in self.weights.tolist()]
        return {"kinds": [list(k) for k in self.kinds], "edges": list(self.edges), "weights": rows}

    @staticmethod
    def of_plain(entry: Mapping[str, Any]) -> "GroupOutlook":
        """That of an entry of a config."""
        return GroupOutlook(
            tuple((int(z), int(n)) for z, n in entry["kinds"]),
            tuple(map(float, entry["edges"])),
            torch.tensor(entry["weights"], dtype=torch.float64),
        )


@dataclass(frozen=True)
class GroupWishes:
    """What is wished of molecules that are to be drawn, as far as it concerns their groups.

    Args:
        outlooks: By property.
        values: That each molecule is to have, by property.
        weight: How much they count: logarithms of densities are multiplied by it.
    """

    outlooks: Mapping[str, GroupOutlook]
    values: Mapping[str, Float[Tensor, " molecules"]]
    weight: float = 1.0

    @cached_property
    def names(self) -> list[str]:
        """Properties of which something is wished and something is known."""
        return [name for name in self.values if name in self.outlooks]

    def take(self, positions: Sequence[int]) -> "GroupWishes":
        """The wishes of the molecules at these positions."""
        own = {name: values[list(positions)] for name, values in self.values.items()}
        return GroupWishes(self.outlooks, own, self.weight)

    def odds(
        self, molecules: Sequence[Sequence[Group]], counts: Sequence[float]
    ) -> Float[Tensor, "wishes molecules"]:
        """How likely each list of groups is for each wish, up to a factor: p(groups) p(wish |
        groups)^weight.

        Args:
            molecules: Lists of groups.
            counts: How often each occurs.
        """
        found = torch.tensor(counts, dtype=torch.float64).log().unsqueeze(0)
        for name in self.names:
            values = self.values[name].double().cpu()
            found = found + self.weight * self.outlooks[name].log_density(molecules, values)
        return torch.exp(found - found.amax(-1, keepdim=True))


def fit_outlook(batch: CrystalBatch, values: Float[Tensor, " molecules"]) -> GroupOutlook | None:
    """What groups say of a property, by known molecules; None where too few are known.

    Args:
        batch: Molecules.
        values: Of the property; NaN where nobody knows.
    """
    known = torch.nonzero(values.isfinite()).flatten()
    pieces = min(PIECES, len(known) // _MEMBERS)
    if pieces < 2:
        return None
    own = batch.select(known)
    molecules = [groups_of(species) for species in own.species.split(own.num_atoms.tolist())]
    y = values[known].double()
    ranks = torch.quantile(y, torch.linspace(0, 1, pieces + 1, dtype=torch.float64))
    edges = torch.unique(torch.tensor([float(f"{x:.6g}") for x in ranks], dtype=torch.float64))
    if len(edges) < 3:
        return None
    kinds = tuple(sorted({group for groups in molecules for group in groups}))
    functions = _functions(_counted(molecules, kinds))
    piece = torch.searchsorted(edges[1:-1].contiguous(), y, right=True)
    return GroupOutlook(kinds, tuple(edges.tolist()), _fitted(functions, piece, len(edges) - 1))


def _fitted(functions: Tensor, piece: Tensor, pieces: int) -> Tensor:
    """Coefficients of the most likely softmax regression, which are small."""
    mean, spread = functions.mean(0), functions.std(0)
    spread = torch.where(spread > 0, spread, 1.0)
    mean[0] = 0.0
    scaled = (functions - mean) / spread
    weights = torch.zeros(functions.shape[1], pieces, dtype=functions.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = functional.cross_entropy(scaled @ weights, piece) + _RIDGE * weights.square().sum()
        found.backward()
        return found

    optimiser.step(loss)
    found = weights.detach() / spread.unsqueeze(-1)
    found[0] -= mean @ found
    return found


def _counted(molecules: Sequence[Sequence[Group]], kinds: Sequence[Group]) -> Tensor:
    """How many groups of each kind each molecule has."""
    places = {kind: k for k, kind in enumerate(kinds)}
    counts = torch.zeros(len(molecules), len(kinds), dtype=torch.float64)
    for row, groups in enumerate(molecules):
        for group in groups:
            if group in places:
                counts[row, places[group]] += 1
    return counts


def _functions(counts: Tensor) -> Tensor:
    """One, the counts, and their products."""
    i, j = torch.triu_indices(counts.shape[1], counts.shape[1])
    return torch.cat([torch.ones_like(counts[:, :1]), counts, counts[:, i] * counts[:, j]], 1)
