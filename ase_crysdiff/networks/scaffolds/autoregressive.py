"""The probability of a scaffold, decision after decision: space group, then letter after letter.

Source: Kazeev et al. 2025 (WyFormer) and Cao et al. 2024 (CrystalFormer) for transformers on
Wyckoff positions; the order of decisions, the exact masks and the pointer to the positions of the
group are ours.
"""

import torch
from torch import nn

from ase_crysdiff.networks.linear import Linear, product
from ase_crysdiff.networks.scaffolds.features import PER_GROUP, GroupEmbedding, PositionEmbedding
from ase_crysdiff.networks.species_embeddings import DescribedElements
from ase_crysdiff.shapes import Float, Int, Tensor
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
        elements, rows = self.described(batch.elements, batch.counts), self.groups()
        in_turn = elements.gather(1, batch.turn[..., None].expand(-1, -1, self.hidden))
        positions = self.positions(batch.group)
        before = self.before(torch.roll(batch.letters, 1, 1), positions, first=True)
        decisions = self.asked(before, in_turn, batch.remaining, rows[batch.group])
        tokens = torch.cat([elements, self.opening(batch.hull), decisions], 1)
        mask, absent = self._masks(batch)
        out = self.norm(self.layers(tokens, mask=mask, src_key_padding_mask=absent))
        place = elements.shape[1]
        letters = self.letter_logits(out[:, place + 1 :], positions, batch.group)
        return self.group_logits(out[:, place], rows), letters

    def described(
        self, elements: Int[Tensor, "crystals elements"], counts: Int[Tensor, "crystals elements"]
    ) -> Float[Tensor, "crystals elements hidden"]:
        """Tokens of the elements with their atoms."""
        species: Tensor = self.elements(elements.flatten()).view(*elements.shape, -1)
        return species + self._count(counts)

    def opening(self, hull: Int[Tensor, " crystals"]) -> Float[Tensor, "crystals 1 hidden"]:
        """The token that asks for the space group."""
        token: Tensor = (self.start + self.hull(hull)).unsqueeze(1)
        return token

    def before(
        self,
        letters: Int[Tensor, "crystals sites"],
        positions: Float[Tensor, "crystals letters hidden"],
        *,
        first: bool,
    ) -> Float[Tensor, "crystals sites hidden"]:
        """The position that was occupied before each site.

        Args:
            letters: Its place in the alphabet.
            positions: Those of the groups.
            first: Whether nothing was occupied before the first of these sites.
        """
        found = positions.gather(1, letters[..., None].expand(-1, -1, self.hidden)).clone()
        if first and found.shape[1]:
            found[:, 0] = self.start
        return found

    def asked(
        self,
        before: Float[Tensor, "crystals sites hidden"],
        in_turn: Float[Tensor, "crystals sites hidden"],
        remaining: Int[Tensor, "crystals sites"],
        group: Float[Tensor, "crystals hidden"],
    ) -> Float[Tensor, "crystals sites hidden"]:
        """Tokens that ask for letters in a group of this row."""
        return before + in_turn + self._count(remaining) + group.unsqueeze(1)

    def group_logits(
        self, out: Float[Tensor, "crystals hidden"], rows: Float[Tensor, "groups hidden"]
    ) -> Float[Tensor, "crystals groups"]:
        """What the token that asks for the group has become, compared with the rows of all."""
        return product(self.to_group(out), rows) / self.hidden**0.5 + self.group_bias

    def letter_logits(
        self,
        out: Float[Tensor, "crystals sites hidden"],
        positions: Float[Tensor, "crystals letters hidden"],
        group: Int[Tensor, " crystals"],
    ) -> Float[Tensor, "crystals sites letters"]:
        """What tokens that ask for letters have become, compared with the group's positions."""
        bias = self.letter_bias.view(231, PER_GROUP)[group].unsqueeze(1)
        found: Tensor = self.to_letter(out) @ positions.transpose(1, 2) / self.hidden**0.5 + bias
        return found

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
