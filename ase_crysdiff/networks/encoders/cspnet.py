"""CSPNet: message passing between all pairs of atoms of a crystal, on dense blocks of equally large crystals.

Same weights and, up to rounding, same results as the published network (`testing.cspnet_reference` writes that out). What
is done differently, all of it exact:
- the first edge map is split by its columns: node parts are computed once per atom and lattice parts once per crystal,
  then added by broadcasting;
- sines of a difference change sign when the pair is swapped and cosines do not, so one product serves both directions;
- Fourier features are computed once per call, not once per layer;
- blocks are dense, so that messages are averaged over an axis, without lists of edges.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.crystal.batch import Block
from ase_crysdiff.networks.base import Encoder, Features, NodeInput
from ase_crysdiff.networks.embeddings import fourier_features
from ase_crysdiff.networks.linear import Linear, product
from ase_crysdiff.shapes import Float, Int, Tensor


@lru_cache(maxsize=256)
def _pairs(size: int, device: torch.device) -> tuple[Int[Tensor, "2 pairs"], Int[Tensor, " rows"], Int[Tensor, " rows"]]:
    """Pairs i < j; for every dense row i * size + j its place in [pairs, swapped pairs, diagonal]; and the inverse."""
    upper = torch.triu_indices(size, size, 1)
    count = upper.shape[1]
    place = torch.empty(size, size, dtype=torch.long)
    place[upper[0], upper[1]] = torch.arange(count)
    place[upper[1], upper[0]] = torch.arange(count) + count
    place[range(size), range(size)] = torch.arange(size) + 2 * count
    place = place.flatten()
    return upper.to(device), place.to(device), torch.argsort(place).to(device)


class _Reorder(torch.autograd.Function):
    """Rows in another order. The gradient is a gather by the inverse order, not the scatter that autograd would use."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return rows.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(1, ctx.saved_tensors[0]), None, None


class CSPLayer(nn.Module):
    """One round of messages with the parameters of the published layer."""

    def __init__(self, hidden: int, crystal_features: int, frequencies: int) -> None:
        super().__init__()
        self.columns = (hidden, hidden, crystal_features, 3 * frequencies, 3 * frequencies)
        self.norm = nn.LayerNorm(hidden)
        self.edge_in = Linear(sum(self.columns), hidden)
        self.edge_out = Linear(hidden, hidden)
        self.node_in = Linear(2 * hidden, hidden)
        self.node_out = Linear(hidden, hidden)

    def forward(
        self,
        nodes: Float[Tensor, "atoms hidden"],
        crystals: Float[Tensor, "crystals features"],
        blocks: tuple[Block, ...],
        fourier: list[tuple[Tensor, Tensor]],
        products: torch.dtype,
    ) -> Float[Tensor, "atoms hidden"]:
        normed = self.norm(nodes)
        receive, send, lattice, odd, even = self.edge_in.weight.split(self.columns, 1)
        from_nodes = product(normed.to(products), torch.cat([receive, send]).to(products))
        # Lattice invariants reach hundreds of Å² in the published representation: they stay in single precision.
        from_crystals = product(crystals, lattice, self.edge_in.bias).to(products)
        odd, even = odd.to(products), even.to(products)
        out_weight, out_bias = self.edge_out.weight.to(products), self.edge_out.bias.to(products)
        gathered = []
        for block, (sines, cosines) in zip(blocks, fourier, strict=True):
            received, sent = block.view(from_nodes).chunk(2, -1)
            edges = self._geometry(block, product(sines, odd), product(cosines, even), even)
            edges = edges + (received + from_crystals[block.crystals, None]).unsqueeze(2) + sent.unsqueeze(1)
            messages = functional.silu(product(functional.silu(edges), out_weight, out_bias))
            gathered.append(messages.mean(2, dtype=nodes.dtype).flatten(0, 1))
        update = torch.cat([normed, torch.cat(gathered)], -1).to(products)
        update = functional.silu(product(update, self.node_in.weight.to(products), self.node_in.bias.to(products)))
        update = product(update, self.node_out.weight.to(products), self.node_out.bias.to(products))
        return nodes + functional.silu(update.to(nodes.dtype))

    def _geometry(
        self, block: Block, odd: Float[Tensor, "count pairs hidden"], even: Tensor, even_weight: Tensor
    ) -> Float[Tensor, "count size size hidden"]:
        """Fourier part of every ordered pair from those with i < j."""
        itself = even_weight.sum(1).expand(block.count, block.size, -1)  # all cosines of a zero difference are 1
        _, order, inverse = _pairs(block.size, odd.device)
        rows = _Reorder.apply(torch.cat([even + odd, even - odd, itself], 1), order, inverse)
        return rows.unflatten(1, (block.size, block.size))


class CSPNet(Encoder):
    """The network of DiffCSP, MiAD and their kin.

    Source: Jiao et al. 2023 (DiffCSP), section 4.2; MiAD uses it unchanged.

    Args:
        crystal_features: Invariants per crystal that edges read.
        hidden: Width.
        layers: Rounds of messages.
        frequencies: Fourier frequencies per axis.
    """

    def __init__(self, crystal_features: int, hidden: int = 512, layers: int = 6, frequencies: int = 128) -> None:
        super().__init__()
        self.hidden = hidden
        self.frequencies = frequencies
        self.layers = nn.ModuleList(CSPLayer(hidden, crystal_features, frequencies) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def forward(self, inputs: NodeInput) -> Features:
        blocks = inputs.layout.blocks
        nodes = inputs.nodes
        products = self.products or nodes.dtype
        fourier = [self._fourier(block, inputs.frac_coords, products) for block in blocks]
        for layer in self.layers:
            nodes = layer(nodes, inputs.crystals, blocks, fourier, products)
        nodes = self.norm(nodes)
        return Features(nodes, torch.cat([block.view(nodes).mean(1) for block in blocks]))

    def _fourier(self, block: Block, frac_coords: Float[Tensor, "atoms 3"], products: torch.dtype) -> tuple[Tensor, Tensor]:
        """Sines and cosines of f_j - f_i for the pairs i < j of a block."""
        frac = block.view(frac_coords)
        (i, j), _, _ = _pairs(block.size, frac.device)
        sines, cosines = fourier_features(frac[:, j] - frac[:, i], self.frequencies)
        return sines.to(products), cosines.to(products)
