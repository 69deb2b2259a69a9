"""A diffusion transformer over the latents of a crystal's atoms, conditioned on time."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.networks.embeddings import time_embedding
from ase_crysdiff.shapes import Bool, Float, Int, Tensor


@dataclass(frozen=True)
class Tokens:
    """Atoms as rows of one dense tensor, crystals padded to the length of the longest.

    Args:
        rows: Row of every atom in the flattened dense tensor, shape (atoms,).
        is_atom: Which places of the dense tensor are atoms, not padding, shape (crystals, length).
    """

    rows: Int[Tensor, " atoms"]
    is_atom: Bool[Tensor, "crystals length"]

    @staticmethod
    def of(layout: Layout) -> "Tokens":
        """The tokens of a batch: crystal k has row k, atom i of it column i."""
        counts, index = layout.num_atoms, layout.batch_index
        within = torch.arange(len(index), device=layout.device) - (counts.cumsum(0) - counts)[index]
        length = max(layout.sizes)
        is_atom = torch.arange(length, device=layout.device) < counts.unsqueeze(-1)
        return Tokens(index * length + within, is_atom)

    def dense(self, rows: Float[Tensor, "atoms width"]) -> Float[Tensor, "crystals length width"]:
        """Atom rows in their places, zeros elsewhere."""
        empty = rows.new_zeros(self.is_atom.numel(), rows.shape[-1])
        return empty.index_copy(0, self.rows, rows).unflatten(0, self.is_atom.shape)

    def ragged(self, dense: Float[Tensor, "crystals length width"]) -> Float[Tensor, "atoms width"]:
        """The rows that are atoms."""
        return dense.flatten(0, 1)[self.rows]


class DiT(nn.Module):
    """Predicts clean latents from noisy ones. Atoms are a set: without `positions` their order does
    not matter.

    Args:
        latent: Width of the latents.
        width: Width of the tokens.
        layers: Blocks.
        heads: Of each attention.
        expansion: Width of the perceptrons' hidden layer over that of the tokens.
        times: Width of the embedding of time.
        positions: Whether tokens know their place in the list, as in the published model.

    Source: Peebles & Xie 2023 (DiT), adaLN-Zero; CrysLDNet (2026) with latent 256, width 768, 12
    layers, 12 heads, times 256.
    """

    def __init__(
        self,
        latent: int,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        expansion: int = 4,
        times: int = 256,
        positions: bool = False,
    ) -> None:
        super().__init__()
        self.positions, self.times, self.width = positions, times, width
        self.enter = nn.Linear(latent, width)
        self.time = nn.Sequential(nn.Linear(times, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(_Block(width, heads, expansion) for _ in range(layers))
        self.modulation = _zero(nn.Linear(width, 2 * width))
        self.leave = _zero(nn.Linear(width, latent))

    def forward(
        self, noisy: Float[Tensor, "atoms latent"], t: Float[Tensor, " crystals"], layout: Layout
    ) -> Float[Tensor, "atoms latent"]:
        """The clean latents.

        Args:
            noisy: Latents of all atoms.
            t: Time of each crystal, 0 = data.
            layout: Which atoms belong together.
        """
        tokens = Tokens.of(layout)
        x = self.enter(tokens.dense(noisy))
        if self.positions:
            x = x + time_embedding(
                torch.arange(x.shape[1], device=x.device, dtype=x.dtype) / TRAINED_STEPS, self.width
            )
        condition = functional.silu(self.time(time_embedding(t, self.times)))
        for block in self.blocks:
            x = block(x, condition, tokens.is_atom)
        shift, scale = self.modulation(condition).unsqueeze(1).chunk(2, -1)
        return tokens.ragged(self.leave(_modulated(x, shift, scale)))


class _Block(nn.Module):
    """Attention within each crystal, then a perceptron. Time shifts and scales what they read and
    gates what they add; all three are zero at first, so that the block starts as the identity.
    """

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = _zero(nn.Linear(width, 6 * width))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, expansion * width),
            nn.GELU(approximate="tanh"),
            nn.Linear(expansion * width, width),
        )

    def forward(self, x: Tensor, condition: Tensor, is_atom: Tensor) -> Tensor:
        shift, scale, gate, shift2, scale2, gate2 = (
            self.modulation(condition).unsqueeze(1).chunk(6, -1)
        )
        x = x + gate * self._attention(_modulated(x, shift, scale), is_atom)
        return x + gate2 * self.perceptron(_modulated(x, shift2, scale2))

    def _attention(self, x: Tensor, is_atom: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=is_atom[:, None, None, :]
        )
        return self.out(found.transpose(1, 2).flatten(2))


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """The normalised input, scaled and shifted by what time says."""
    return functional.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


def _zero(linear: nn.Linear) -> nn.Linear:
    """The layer with weights and bias of zero, so that it adds nothing before it is trained."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
