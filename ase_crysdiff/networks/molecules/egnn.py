"""An E(3)-equivariant network on all pairs of atoms of a molecule.

After Satorras et al. 2021 (EGNN), which molecules' published flows use. What is different, for a
network that a CPU trains:

- a message is the same in both directions, φ(h_i + h_j, d_ij), so that each pair is computed once;
  whether it moves an atom, and how far, is the receiver's affair;
- atoms receive several arrows, whose lengths they read: angles need no second round;
- messages read two distances, that of the places as observed and that of the places as estimated
  so far, and whether two atoms are of one group.
"""

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
        seen: Float[Tensor, "count pairs 3"],
        believed: Float[Tensor, "count pairs 3"],
        ends: Int[Tensor, "2 pairs"],
    ) -> tuple[Float[Tensor, "count size hidden"], Float[Tensor, "count size 3"]]:
        size = nodes.shape[1]
        normed = self.norm(nodes)
        own = self.read(normed)
        pairs = (
            self.geometry(features) + own.index_select(1, ends[0]) + own.index_select(1, ends[1])
        )
        messages = functional.silu(self.message(functional.silu(pairs)))
        weights = self.weigh(messages).unflatten(-1, (2, self.arrows))
        along = torch.stack([seen, believed], -2).unsqueeze(-2) * weights.unsqueeze(-1)
        arrows = _gathered(along.flatten(2), ends, size, -1).unflatten(-1, (2 * self.arrows, 3))
        received = _gathered(messages, ends, size, 1) * (1 / size**0.5)
        arrows = arrows * (1 / size**0.5)
        lengths = torch.sqrt(arrows.square().sum(-1) + 1e-8)
        joined = torch.cat([normed, received, lengths], -1)
        nodes = nodes + self.out(functional.silu(self.join(joined)))
        moves = (self.move(nodes).unsqueeze(-1) * arrows).sum(-2)
        return nodes, moves


def _gathered(
    pairs: Float[Tensor, "count pairs width"], ends: Int[Tensor, "2 pairs"], size: int, sign: int
) -> Float[Tensor, "count size width"]:
    """The sum over the pairs of each atom, those of which it is the second with a sign."""
    zeros = pairs.new_zeros(len(pairs), size, pairs.shape[-1])
    first = zeros.index_add(1, ends[0], pairs)
    return first.index_add(1, ends[1], pairs, alpha=sign)


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
        ends = pairs_of(nodes.shape[1], nodes.device)
        seen, radial = self._geometry(inputs.seen, ends)
        relations = _relations(inputs.groups, ends).to(nodes.dtype)
        moves = torch.zeros_like(inputs.seen)
        for place, layer in enumerate(self.layers):
            estimate = inputs.believed + inputs.deviation * moves
            believed, nearer = self._geometry(estimate, ends)
            features = torch.cat([relations, radial, nearer], -1)
            nodes, further = layer(nodes, features, seen, believed, ends)
            nodes = inputs.adapted(place, nodes)
            moves = moves + further
        return nodes, moves

    def _geometry(
        self, places: Float[Tensor, "count size 3"], ends: Int[Tensor, "2 pairs"]
    ) -> tuple[Float[Tensor, "count pairs 3"], Float[Tensor, "count pairs functions"]]:
        """Directions from the first atom of each pair to the second, shorter where these are close,
        and functions of the distance.
        """
        arrows = places.index_select(1, ends[1]) - places.index_select(1, ends[0])
        arrows = arrows * self.unit
        distance = torch.sqrt(arrows.square().sum(-1, keepdim=True) + 1e-6)
        radial = torch.exp(-self.rates * (distance - self.centres).square())
        return arrows / (distance + SOFT), radial


def _relations(groups: Groups, ends: Int[Tensor, "2 pairs"]) -> Float[Tensor, "count pairs 3"]:
    """What the atoms of each pair are to each other, as a one-hot vector."""
    alike = groups.alike[:, ends[0], ends[1]]
    rows = torch.arange(groups.centre.shape[1], device=ends.device)
    is_centre = groups.centre == rows
    bound = alike & (is_centre[:, ends[0]] | is_centre[:, ends[1]])
    return torch.stack([~alike, bound, alike & ~bound], -1).to(torch.float32)


@lru_cache(maxsize=256)
def pairs_of(size: int, device: torch.device) -> Int[Tensor, "2 pairs"]:
    """All pairs of atoms, the smaller row first."""
    return torch.triu_indices(size, size, 1, device=device)
