"""An E(3)-equivariant network on all pairs of atoms of a molecule.

After Satorras et al. 2021 (EGNN), which molecules' published flows use. What is different, for a
network that a CPU trains:

- a message is the same in both directions, φ(h_i + h_j, d_ij), so that each pair is computed once;
  whether it moves an atom, and how far, is the receiver's affair;
- atoms receive several arrows, whose lengths they read: angles need no second round;
- messages read two distances, that of the places as observed and that of the places as estimated
  so far, and whether two atoms are of one group.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.molecules.base import MoleculeEncoder, MoleculeInput
from ase_crysdiff.networks.molecules.groups import RELATIONS, Groups
from ase_crysdiff.shapes import Float, Int, Tensor

#: Centres of functions of the distance, Å: close together where bonds are.
CENTRES = (0.0, 0.6, 0.9, 1.1, 1.25, 1.4, 1.55, 1.8, 2.1, 2.5, 3.0, 3.7, 4.6, 6.0)
#: Added to a distance before it divides, Å.
SOFT = 0.3
#: Of functions of the distance: beyond lie numbers with which processors reckon slowly.
SMALLEST_EXPONENT = -60.0


class PairLayer(nn.Module):
    """One round of messages.

    Args:
        hidden: Width of the nodes.
        pair: Width of the messages.
        arrows: Arrows that each atom receives along the observed places, and as many along the
            estimated ones.
        features: Functions of a pair.
    """

    def __init__(self, hidden: int, pair: int, arrows: int, features: int) -> None:
        super().__init__()
        self.arrows = arrows
        self.norm = nn.LayerNorm(hidden)
        self.read = Linear(hidden, pair)
        self.geometry = Linear(features, pair, bias=False)
        self.message = Linear(pair, pair)
        self.weigh = Linear(pair, 2 * arrows, bias=False)
        self.join = Linear(hidden + pair + 2 * arrows, hidden)
        self.out = Linear(hidden, hidden)
        self.move = Linear(hidden, 2 * arrows)
        nn.init.zeros_(self.move.weight)
        nn.init.zeros_(self.move.bias)

    def forward(
        self,
        nodes: Float[Tensor, "count size hidden"],
        features: Float[Tensor, "count pairs features"],
        directions: Float[Tensor, "count 2 3 pairs"],
        graph: "PairGraph",
    ) -> tuple[Float[Tensor, "count size hidden"], Float[Tensor, "count 3 size"]]:
        count, size, _ = nodes.shape
        ends, signed = graph.ends.expand(count, -1, -1), graph.signed.expand(count, -1, -1)
        normed = self.norm(nodes)
        own = self.read(normed)
        pairs = torch.baddbmm(self.geometry(features), ends.transpose(1, 2), own)
        messages = functional.silu(self.message(functional.silu(pairs)))
        weigh = self.weigh.weight.expand(count, -1, -1)
        weights = torch.bmm(weigh, messages.transpose(1, 2)).unflatten(1, (2, self.arrows))
        along = (weights.unsqueeze(3) * directions.unsqueeze(2)).flatten(1, 3)
        share = 1 / size**0.5
        received = torch.bmm(ends, messages) * share
        arrows = torch.bmm(along, signed.transpose(1, 2)) * share
        arrows = arrows.unflatten(1, (2 * self.arrows, 3))
        lengths = torch.sqrt(arrows.square().sum(2) + 1e-8)
        joined = torch.cat([normed, received, lengths.transpose(1, 2)], -1)
        nodes = nodes + self.out(functional.silu(self.join(joined)))
        moves = (self.move(nodes).transpose(1, 2).unsqueeze(2) * arrows).sum(1)
        return nodes, moves


class EGNN(MoleculeEncoder):
    """Messages between all pairs of atoms.

    Args:
        hidden: Width of the nodes.
        layers: Rounds of messages.
        pair: Width of the messages.
        arrows: Arrows that each atom receives along each set of places.
        unit: Length of which places are multiples, Å.
    """

    small: ClassVar[dict[str, int]] = {"hidden": 32, "layers": 2, "pair": 16, "arrows": 4}

    def __init__(
        self,
        hidden: int = 128,
        layers: int = 6,
        pair: int = 64,
        arrows: int = 8,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.hidden, self.rounds, self.unit = hidden, layers, unit
        features = RELATIONS + 2 * len(CENTRES)
        self.layers = nn.ModuleList(
            PairLayer(hidden, pair, arrows, features) for _ in range(layers)
        )
        centres = torch.tensor(CENTRES)
        widths = torch.cat([centres.diff(), centres[-1:] - centres[-2:-1]])
        self.centres: Tensor
        self.rates: Tensor
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("rates", 0.5 / widths.square(), persistent=False)

    def forward(
        self, inputs: MoleculeInput
    ) -> tuple[Float[Tensor, "count size hidden"], Float[Tensor, "count size 3"]]:
        nodes = inputs.nodes
        graph = PairGraph.of(nodes.shape[1], nodes.device, nodes.dtype)
        seen, radial = self._geometry(inputs.seen.transpose(1, 2), graph)
        told = torch.cat([_relations(inputs.groups, graph).to(nodes.dtype), radial], -1)
        believed = inputs.believed.transpose(1, 2)
        moves = torch.zeros_like(believed)
        for place, layer in enumerate(self.layers):
            nearer, radial = self._geometry(believed + inputs.deviation * moves, graph)
            features, directions = torch.cat([told, radial], -1), torch.stack([seen, nearer], 1)
            nodes, further = layer(nodes, features, directions, graph)
            nodes = inputs.adapted(place, nodes)
            moves = moves + further
        return nodes, moves.transpose(1, 2)

    def _geometry(
        self, places: Float[Tensor, "count 3 size"], graph: "PairGraph"
    ) -> tuple[Float[Tensor, "count 3 pairs"], Float[Tensor, "count pairs functions"]]:
        """Directions from the first atom of each pair to the second, shorter where these are close,
        and functions of the distance.
        """
        arrows = places.index_select(2, graph.second) - places.index_select(2, graph.first)
        arrows = arrows * self.unit
        distance = torch.sqrt(arrows.square().sum(1, keepdim=True) + 1e-6)
        exponents = -self.rates * (distance.transpose(1, 2) - self.centres).square()
        radial = torch.exp(exponents.clamp_min(SMALLEST_EXPONENT))
        return arrows / (distance + SOFT), radial


def _relations(groups: Groups, graph: "PairGraph") -> Float[Tensor, "count pairs 3"]:
    """What the atoms of each pair are to each other, as a one-hot vector."""
    alike = groups.alike[:, graph.first, graph.second]
    rows = torch.arange(groups.centre.shape[1], device=graph.first.device)
    is_centre = groups.centre == rows
    bound = alike & (is_centre[:, graph.first] | is_centre[:, graph.second])
    return torch.stack([~alike, bound, alike & ~bound], -1).to(torch.float32)


@dataclass(frozen=True)
class PairGraph:
    """All pairs of the atoms of a molecule, the smaller row first.

    Args:
        first: Row of the first atom of each pair.
        second: That of the second.
        ends: 1 where an atom is of a pair.
        signed: 1 where it is the first of it, -1 where the second.
    """

    first: Int[Tensor, " pairs"]
    second: Int[Tensor, " pairs"]
    ends: Float[Tensor, "size pairs"]
    signed: Float[Tensor, "size pairs"]

    @staticmethod
    @lru_cache(maxsize=256)
    def of(size: int, device: torch.device, dtype: torch.dtype) -> "PairGraph":
        """The pairs of so many atoms."""
        first, second = torch.triu_indices(size, size, 1, device=device)
        rows = torch.arange(size, device=device).unsqueeze(-1)
        starts, stops = (rows == first).to(dtype), (rows == second).to(dtype)
        return PairGraph(first, second, starts + stops, starts - stops)
