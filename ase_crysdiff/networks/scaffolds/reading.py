"""A model of scaffolds that remembers what it has read, so that a decision costs one token."""

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.linear import product
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.shapes import Bool, Float, Int, Tensor


class Reader:
    """Reads compositions, then site after site, and says what may come next.

    The numbers are those of `ScaffoldModel.forward` in evaluation mode, apart from rounding. They
    are the same to the last bit whatever is read beside a row.

    Args:
        model: The probability of scaffolds.
        elements: Atomic numbers in the order of decisions, 0 for none.
        counts: Atoms of each element in the primitive cell.
        hull: Class of the energy above the hull.

    Attributes:
        groups: Logits of the space groups (rows, groups).
    """

    @torch.no_grad()
    def __init__(
        self,
        model: ScaffoldModel,
        elements: Int[Tensor, "rows elements"],
        counts: Int[Tensor, "rows elements"],
        hull: int,
    ) -> None:
        self.model = model
        self._elements = model.described(elements, counts)
        opening = model.opening(torch.full((len(elements),), hull))
        tokens = torch.cat([self._elements, opening], 1)
        self._present = functional.pad(elements > 0, (0, 1), value=True)
        self._seen: list[tuple[Tensor, Tensor]] = []
        visible = self._present[:, None].repeat(1, tokens.shape[1], 1)
        visible[:, :-1, -1] = False  # elements see each other alone
        self._rows = model.groups()
        self.groups = model.group_logits(self._read(tokens, visible)[:, -1], self._rows)

    def select(self, rows: Int[Tensor, " selected"]) -> None:
        """Go on with these rows, in this order, some of them possibly several times."""
        self._elements, self._present = self._elements[rows], self._present[rows]
        self.groups = self.groups[rows]
        self._seen = [(keys[rows], values[rows]) for keys, values in self._seen]

    @torch.no_grad()
    def letters(
        self,
        group: Int[Tensor, " rows"],
        before: Int[Tensor, "rows sites"],
        turn: Int[Tensor, "rows sites"],
        remaining: Int[Tensor, "rows sites"],
    ) -> Float[Tensor, "rows sites letters"]:
        """Logits of the letters of the sites that follow those that were read; now these are read,
        too.

        Args:
            group: Number of the space group.
            before: Letter of the site before each, any for the first.
            turn: Which element each site belongs to.
            remaining: Atoms of it that are still to be placed.
        """
        model, sites = self.model, before.shape[1]
        in_turn = self._elements.gather(1, turn[..., None].expand(-1, -1, model.hidden))
        positions = model.positions(group)
        first = self._present.shape[1] == self._elements.shape[1] + 1
        previous = model.before(before, positions, first=first)
        tokens = model.asked(previous, in_turn, remaining, self._rows[group])
        past = self._present[:, None].expand(-1, sites, -1)
        order = torch.ones(sites, sites, dtype=torch.bool).tril().expand(len(group), -1, -1)
        self._present = functional.pad(self._present, (0, sites), value=True)
        out = self._read(tokens, torch.cat([past, order], 2))
        return model.letter_logits(out, positions, group)

    def _read(
        self, tokens: Float[Tensor, "rows new hidden"], visible: Bool[Tensor, "rows new all"]
    ) -> Float[Tensor, "rows new hidden"]:
        """What new tokens become that see what was read before and, of themselves, what is
        visible.
        """
        seen, self._seen = self._seen, []
        for index, layer in enumerate(self.model.layers.layers):
            assert isinstance(layer, nn.TransformerEncoderLayer)
            attention = layer.self_attn
            queries, keys, values = (
                part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
                for part in product(
                    layer.norm1(tokens), attention.in_proj_weight, attention.in_proj_bias
                ).chunk(3, 2)
            )
            if seen:
                keys = torch.cat([seen[index][0], keys], 2)
                values = torch.cat([seen[index][1], values], 2)
            self._seen.append((keys, values))
            found = functional.scaled_dot_product_attention(
                queries, keys, values, attn_mask=visible[:, None]
            )
            tokens = tokens + _linear(attention.out_proj, found.transpose(1, 2).flatten(2))
            inner = functional.gelu(_linear(layer.linear1, layer.norm2(tokens)))
            tokens = tokens + _linear(layer.linear2, inner)
        read: Tensor = self.model.norm(tokens)
        return read


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return product(x, layer.weight, layer.bias)
