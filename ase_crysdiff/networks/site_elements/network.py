"""A small masked model of elements: attention among the parts of a crystal.

Source: the task is that of Devlin et al. 2019 (BERT), with any number of hidden entries, which
makes it an autoregressive model in any order (Uria et al. 2014; Hoogeboom et al. 2022). Crystals as
sets of symmetric sites: Kazeev et al. 2025 (WyFormer).
"""

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.linear import Linear, product
from ase_crysdiff.networks.scaffolds.features import position_features
from ase_crysdiff.networks.site_elements.batch import PartBatch
from ase_crysdiff.networks.site_elements.parts import SHELLS
from ase_crysdiff.networks.species_embeddings import NUM_ELEMENTS, DescribedElements
from ase_crysdiff.shapes import Bool, Float, Int, Tensor
from ase_crysdiff.symmetry.decisions import NUM_HULL_CLASSES, hull_class
from ase_crysdiff.symmetry.tables import number_of_positions, space_group

#: An element that is to be told.
HIDDEN = 0
#: Classes of the energy above the hull: those of crystals on it, and of which nobody knows.
STABLE, UNKNOWN = hull_class(0.0), hull_class(float("nan"))
#: Width of the learned rows of groups and positions, of which many are rare.
_ROW = 32
#: Numbers that describe a site.
_SITE = len(position_features(space_group(1), space_group(1).positions[0]))


class Attention(nn.Module):
    """Attention among the parts of each crystal in which how they surround each other speaks into
    scores and values, then a feed-forward block; both with the norm first.
    """

    def __init__(self, hidden: int, heads: int, pair: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.forward_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.projections = Linear(hidden, 3 * hidden)
        self.pair_scores = Linear(pair, heads)
        self.pair_values = Linear(pair, hidden)
        self.out = Linear(hidden, hidden)
        self.widen, self.narrow = Linear(hidden, 4 * hidden), Linear(4 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        nodes: Float[Tensor, "crystals parts hidden"],
        pairs: Float[Tensor, "crystals parts parts pair"],
    ) -> Float[Tensor, "crystals parts hidden"]:
        per_head = (self.heads, nodes.shape[-1] // self.heads)
        query, key, value = (
            x.unflatten(-1, per_head) for x in self.projections(self.norm(nodes)).chunk(3, -1)
        )
        scores = (query.unsqueeze(2) * key.unsqueeze(1)).sum(-1) * per_head[1] ** -0.5
        weights = torch.softmax(scores + self.pair_scores(pairs), 2).unsqueeze(-1)
        values = value.unsqueeze(1) + self.pair_values(pairs).unflatten(-1, per_head)
        nodes = nodes + self.dropout(self.out((weights * values).sum(2).flatten(-2)))
        wide = functional.gelu(self.widen(self.forward_norm(nodes)))
        return nodes + self.dropout(self.narrow(wide))


class SiteElements(nn.Module):
    """Logits of the element of each part of a crystal, given those that are not hidden.

    The parts are a set: their order changes nothing, nor do the choice of letters and the scale of
    the cell.

    Args:
        hidden: Width.
        layers: Rounds of attention.
        heads: Of each round.
        pair: Width of what is made of the neighbours of two parts.
        dropout: In training.
    """

    def __init__(
        self,
        hidden: int = 96,
        layers: int = 4,
        heads: int = 4,
        pair: int = 32,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.positions = nn.Embedding(int(number_of_positions().sum()), _ROW)
        self.groups = nn.Embedding(231, _ROW)
        for rows in (self.positions, self.groups):  # a rare row says nothing at first
            nn.init.zeros_(rows.weight)
        self.site = nn.Sequential(Linear(_ROW + _SITE, hidden), nn.SiLU(), Linear(hidden, hidden))
        self.part = Linear(2 * hidden + _ROW + 4 + NUM_HULL_CLASSES, hidden)
        self.elements = DescribedElements(hidden)
        self.pair = nn.Sequential(Linear(2 * len(SHELLS) + 2, pair), nn.SiLU(), Linear(pair, pair))
        self.layers = nn.ModuleList(Attention(hidden, heads, pair, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.query = Linear(hidden, hidden)
        self.frequency = nn.Parameter(torch.zeros(NUM_ELEMENTS))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        batch: PartBatch,
        elements: Int[Tensor, "crystals parts"],
        hull: Int[Tensor, " crystals"],
    ) -> Float[Tensor, "crystals parts elements"]:
        crystals, size = elements.shape
        rows = torch.cat([self.positions(batch.rows), batch.sites], -1)
        sites = self.site(rows) * batch.weights.unsqueeze(-1)
        summed = sites.new_zeros(crystals * size, sites.shape[-1]).index_add(0, batch.part, sites)
        known = self.elements(elements.flatten()).unflatten(0, (crystals, size))
        whole = torch.cat(
            [self.groups(batch.group), functional.one_hot(hull, NUM_HULL_CLASSES)], -1
        )
        nodes = self.part(
            torch.cat(
                [
                    summed.unflatten(0, (crystals, size)),
                    known,
                    self._amounts(batch, elements),
                    whole.unsqueeze(1).expand(-1, size, -1),
                ],
                -1,
            )
        )
        nodes, pairs = self.dropout(nodes), self.pair(self._pairs(batch))
        for layer in self.layers:
            nodes = layer(nodes, pairs)
        table = self.elements(torch.arange(NUM_ELEMENTS, device=elements.device))
        return product(self.query(self.norm(nodes)), table, self.frequency)

    def _amounts(
        self, batch: PartBatch, elements: Int[Tensor, "crystals parts"]
    ) -> Float[Tensor, "crystals parts 4"]:
        """Share of each part in the atoms, its atoms, all atoms, whether it is hidden."""
        total = batch.counts.sum(1, keepdim=True)
        return torch.stack(
            [
                batch.counts / total,
                batch.counts.log() / 2,
                total.log().expand_as(batch.counts) / 2,
                (elements == HIDDEN).to(total.dtype),
            ],
            -1,
        )

    def _pairs(self, batch: PartBatch) -> Float[Tensor, "crystals parts parts features"]:
        """Neighbours seen from both sides, whether it is a part and itself, and whether the
        geometry is known.
        """
        seen = torch.log1p(batch.shells)
        size = seen.shape[1]
        itself = torch.eye(size, device=seen.device).expand(len(batch), size, size).unsqueeze(-1)
        is_known = batch.is_known[:, None, None, None].expand(-1, size, size, 1)
        return torch.cat([seen, seen.transpose(1, 2), itself, is_known], -1)


def present(elements: Int[Tensor, "crystals parts"]) -> Bool[Tensor, "crystals elements"]:
    """Which elements the parts of each crystal show, and the class of hidden ones: what a hidden
    part cannot be.
    """
    found = torch.zeros(len(elements), NUM_ELEMENTS, dtype=torch.bool, device=elements.device)
    found[:, HIDDEN] = True
    return found.scatter_(1, elements, True)
