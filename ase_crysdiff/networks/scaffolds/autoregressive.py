"""The probability of a scaffold, decision after decision: space group, then letter after letter.

Source: Kazeev et al. 2025 (WyFormer) and Cao et al. 2024 (CrystalFormer) for transformers on
Wyckoff positions; the order of decisions, the exact masks and the pointer to the positions of the
group are ours.
"""

import torch
from torch import nn

from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.scaffolds.features import PER_GROUP, GroupEmbedding, PositionEmbedding
from ase_crysdiff.networks.species_embeddings import DescribedElements
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.symmetry.decisions import NUM_HULL_CLASSES, Decisions

#: Largest number of atoms that has an embedding of its own.
_COUNTS = 128


class ScaffoldModel(nn.Module):
    """A small transformer over elements and decisions.

    Elements see each other; a decision sees the elements and the decisions before it. The letter is
    chosen by the product of a decision's vector with those of the group's positions, so that
    positions that never occurred have a probability, too.

    Args:
        hidden: Width.
        layers: Transformer layers.
        heads: Attention heads.
        dropout: Of the layers, while training.
    """

    def __init__(
        self, hidden: int = 128, layers: int = 4, heads: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.elements = DescribedElements(hidden)
        self.counts = nn.Embedding(_COUNTS + 1, hidden)
        self.hull = nn.Embedding(NUM_HULL_CLASSES, hidden)
        self.groups = GroupEmbedding(hidden)
        self.positions = PositionEmbedding(hidden)
        self.start = nn.Parameter(torch.zeros(hidden))
        layer = nn.TransformerEncoderLayer(
            hidden, heads, 4 * hidden, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(hidden)
        self.to_group, self.to_letter = Linear(hidden, hidden), Linear(hidden, hidden)
        self.group_bias = nn.Parameter(torch.zeros(231))
        self.letter_bias = nn.Parameter(torch.zeros(231 * PER_GROUP))
        for table in (self.counts, self.hull):
            nn.init.normal_(table.weight, std=0.1)

    def forward(
        self, batch: Decisions
    ) -> tuple[Float[Tensor, "crystals groups"], Float[Tensor, "crystals sites letters"]]:
        """Logarithms of the probabilities of all groups, and of all letters at every site given the
        group and the letters before it; before masks, up to one number each.
        """
        species = self.elements(batch.elements.flatten()).view(*batch.elements.shape, -1)
        elements = species + self._count(batch.counts)
        rows = self.groups()
        positions = self.positions(batch.group)
        before = torch.roll(batch.letters, 1, 1)
        previous = positions.gather(1, before[..., None].expand(-1, -1, self.hidden))
        previous = previous.clone()
        if previous.shape[1]:
            previous[:, 0] = self.start
        in_turn = elements.gather(1, batch.turn[..., None].expand(-1, -1, self.hidden))
        decisions = (
            previous + in_turn + self._count(batch.remaining) + rows[batch.group].unsqueeze(1)
        )
        first = (self.start + self.hull(batch.hull)).unsqueeze(1)
        tokens = torch.cat([elements, first, decisions], 1)
        mask, absent = self._masks(batch)
        out = self.norm(self.layers(tokens, mask=mask, src_key_padding_mask=absent))
        width = self.hidden**0.5
        place = elements.shape[1]
        group = self.to_group(out[:, place]) @ rows.T / width + self.group_bias
        queries = self.to_letter(out[:, place + 1 :])
        bias = self.letter_bias.view(231, PER_GROUP)[batch.group].unsqueeze(1)
        return group, queries @ positions.transpose(1, 2) / width + bias

    def _count(self, numbers: Tensor) -> Tensor:
        found: Tensor = self.counts(numbers.clamp_max(_COUNTS))
        return found

    def _masks(self, batch: Decisions) -> tuple[Tensor, Tensor]:
        """Who may not be seen by whom, and which tokens are no element."""
        elements, decisions = batch.elements.shape[1], batch.letters.shape[1] + 1
        total = elements + decisions
        device = batch.group.device
        hidden = torch.ones(total, total, dtype=torch.bool, device=device).triu(1)
        hidden[:elements, :elements] = False
        nobody = torch.zeros(len(batch), decisions, dtype=torch.bool, device=device)
        return hidden, torch.cat([batch.elements == 0, nobody], 1)
