"""CSPNet: message passing between all pairs of atoms of a crystal, on dense blocks of equally large
crystals.

Same weights and, up to rounding, same results as the published network (`testing.cspnet_reference`
writes that out). What is done differently, all of it exact:
- the first edge map is split by its columns: node parts are computed once per atom and lattice
  parts once per crystal, then added by broadcasting;
- sines of a difference change sign when the pair is swapped and cosines do not, so one product
  serves both directions;
- Fourier features are computed once per call, not once per layer;
- blocks are dense, so that messages are averaged over an axis, without lists of edges, and small
  enough for the cache while sampling;
- for sampling, `tabulate` replaces the Fourier products by interpolation in a table (relative error
  about 1e-6).

What is added: with `distances`, edges also read how far away and in which direction the nearest
image of the other atom is (`near_pairs`). What FlowMM's variant reads beside (Miller et al. 2024,
code) are options, too: `cell_angles`, `atom_counts`, `self_pairs` and `summed`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.crystal.batch import Block
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.base import Encoder, Features, NodeInput
from ase_crysdiff.networks.encoders.near_pairs import AXES
from ase_crysdiff.networks.encoders.pair_terms import (
    POINTS_PER_FREQUENCY,
    CellAngles,
    FourierPairs,
    NearImages,
    PairTerms,
    TabulatedPairs,
    tabulate,
)
from ase_crysdiff.networks.linear import Linear, product
from ase_crysdiff.shapes import Float, Tensor

#: Numbers in an edge tensor that stays in a core's cache while it is added to, squashed and
#: multiplied (4 MiB in float32).
CACHED = 2**20


class CSPLayer(nn.Module):
    """One round of messages with the parameters of the published layer.

    Args:
        hidden: Width.
        crystal_features: Invariants per crystal that edges read.
        frequencies: Fourier frequencies per axis.
        distances: Functions of the distance that edges read beside a direction; 0 for none.
        directed: Whether edges read a direction.
        self_pairs: Whether an atom has a message to itself.
    """

    def __init__(
        self,
        hidden: int,
        crystal_features: int,
        frequencies: int,
        distances: int = 0,
        directed: bool = False,
        self_pairs: bool = True,
    ) -> None:
        super().__init__()
        self.self_pairs = self_pairs
        #: Geometric terms on a grid, for inference; None while the weights may change.
        self.table: Tensor | None = None
        added = (AXES, distances) if directed else ()
        fourier = (3 * frequencies, 3 * frequencies)
        self.columns: tuple[int, ...] = (hidden, hidden, crystal_features, *fourier, *added)
        #: Last columns of parameters that weights may lack which were trained without them.
        self.added_columns = {"edge_in.weight": sum(added)}
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
        pairs: Sequence[PairTerms],
        products: torch.dtype,
    ) -> Float[Tensor, "atoms hidden"]:
        normed = self.norm(nodes)
        receive, send, lattice, odd, even = self._columns()
        from_nodes = product(normed.to(products), torch.cat([receive, send]).to(products))
        # Lattice invariants reach hundreds of Å² in the published representation: they stay in
        # single precision.
        from_crystals = product(crystals, lattice, self.edge_in.bias).to(products)
        odd, even = odd.to(products), even.to(products)
        out_weight, out_bias = self.edge_out.weight.to(products), self.edge_out.bias.to(products)
        # Split, not sliced: the gradient is then one concatenation, not one tensor of zeros for
        # every block.
        node_parts = from_nodes.split([block.count * block.size for block in blocks])
        crystal_parts = from_crystals.split([block.count for block in blocks])
        averages = []
        for block, terms, node_part, crystal_part in zip(
            blocks, pairs, node_parts, crystal_parts, strict=True
        ):
            received, sent = node_part.unflatten(0, (block.count, block.size)).chunk(2, -1)
            received = (received + crystal_part.unsqueeze(1)).unsqueeze(2)
            edges = terms.dense(odd, even, self.table).add_(received).add_(sent.unsqueeze(1))
            reuse = (
                not edges.requires_grad
            )  # the largest tensors are overwritten where no gradient needs them
            messages = product(functional.silu(edges, inplace=reuse), out_weight, out_bias)
            messages = functional.silu(messages, inplace=reuse)
            averages.append(self._average(messages, nodes.dtype).flatten(0, 1))
        update = torch.cat([normed, torch.cat(averages)], -1).to(products)
        update = functional.silu(
            product(update, self.node_in.weight.to(products), self.node_in.bias.to(products))
        )
        update = product(update, self.node_out.weight.to(products), self.node_out.bias.to(products))
        return nodes + functional.silu(update.to(nodes.dtype))

    def _average(
        self, messages: Float[Tensor, "count size size hidden"], dtype: torch.dtype
    ) -> Float[Tensor, "count size hidden"]:
        """The mean over senders; 0 where there is none."""
        if self.self_pairs:
            return messages.mean(2, dtype=dtype)
        size = messages.shape[1]
        others = ~torch.eye(size, dtype=torch.bool, device=messages.device).unsqueeze(-1)
        return (messages * others).sum(2, dtype=dtype) / max(size - 1, 1)

    def _columns(self) -> tuple[Tensor, ...]:
        """The first edge map by what it reads: receiver, sender, crystal, odd and even features."""
        *parts, odd, even = self.edge_in.weight.split(self.columns, 1)
        if not sum(self.added_columns.values()):
            return *parts, odd, even
        *parts, sines, cosines = parts
        return *parts, torch.cat([sines, odd], 1), torch.cat([cosines, even], 1)

    def tabulate(self, points: int, dtype: torch.dtype | None) -> None:
        """Fixes the table of the present weights, in the number format of the products."""
        _, _, _, odd, even, *_ = self.edge_in.weight.detach().split(self.columns, 1)
        self.table = tabulate(odd, even, points).to(dtype)


class CSPNet(Encoder):
    """The network of DiffCSP, MiAD and their kin.

    Args:
        crystal_features: Invariants per crystal that edges read.
        hidden: Width.
        layers: Rounds of messages.
        frequencies: Fourier frequencies per axis.
        distances: Functions of the distance of nearest images that edges read, beside their
            direction; 0, as published, for neither.
        cell_angles: Whether edges read the unit vector along L Lᵀ δ: how the way to the other atom
            lies to the three lattice vectors.
        atom_counts: Numbers of atoms per crystal, 0 to one less than this, that edges are told as a
            one-hot vector; 0 for none.
        self_pairs: Whether an atom has a message to itself.
        summed: Whether crystals are read from the sum over atoms beside the mean.

    Raises:
        InputError: If `distances` or `atom_counts` is no count, or `distances` and `cell_angles`
            are both asked for.

    Source: Jiao et al. 2023 (DiffCSP), section 4.2; MiAD uses it unchanged. The last four options
    are those of FlowMM (Miller et al. 2024, code), where `cell_angles`, `atom_counts=100`,
    `self_pairs=False` and `summed` go together.
    """

    small: ClassVar[Mapping[str, Any]] = {"hidden": 128, "layers": 4, "frequencies": 32}

    def __init__(
        self,
        crystal_features: int,
        hidden: int = 512,
        layers: int = 6,
        frequencies: int = 128,
        distances: int = 0,
        cell_angles: bool = False,
        atom_counts: int = 0,
        self_pairs: bool = True,
        summed: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(distances, bool) or not isinstance(distances, int) or distances < 0:
            raise InputError(
                f"distances of cspnet must be a whole number of functions, got {distances!r}. "
                "Give 16, or leave it out."
            )
        if isinstance(atom_counts, bool) or not isinstance(atom_counts, int) or atom_counts < 0:
            raise InputError(
                f"atom_counts of cspnet must be a whole number, got {atom_counts!r}. Give 100, or "
                "leave it out."
            )
        if distances and cell_angles:
            raise InputError(
                "cspnet reads one kind of direction: give distances or cell_angles, not both."
            )
        self.hidden, self.rounds = hidden, layers
        self.frequencies = frequencies
        self.distances = distances
        self.cell_angles = cell_angles
        self.atom_counts = atom_counts
        directed = distances > 0 or cell_angles
        self.layers = nn.ModuleList(
            CSPLayer(
                hidden, crystal_features + atom_counts, frequencies, distances, directed, self_pairs
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.pool = Linear(2 * hidden, hidden, bias=False) if summed else None

    def forward(self, inputs: NodeInput) -> Features:
        blocks = inputs.layout.blocks
        if not torch.is_grad_enabled():
            blocks = tuple(
                part for block in blocks for part in block.portions(CACHED // self.hidden)
            )
        nodes = inputs.nodes
        products = self.products or nodes.dtype
        near = self._near_images(inputs)
        pairs = [self._pair_terms(block, inputs.frac_coords, products, near) for block in blocks]
        crystals = self._crystals(inputs)
        for place, layer in enumerate(self.layers):
            nodes = layer(nodes, crystals, blocks, pairs, products)
            nodes = inputs.adapted(place, nodes)
        nodes = self.norm(nodes)
        means = torch.cat([block.view(nodes).mean(1) for block in blocks])
        if self.pool is None:
            return Features(nodes, means)
        sums = means * inputs.layout.num_atoms[:, None]
        return Features(nodes, self.pool(torch.cat([means, sums], -1)))

    def tabulate(self) -> None:
        for layer in self.layers:
            layer.tabulate(self._points, self.products)  # type: ignore[operator]

    @property
    def _points(self) -> int:
        return POINTS_PER_FREQUENCY * self.frequencies

    def _crystals(self, inputs: NodeInput) -> Float[Tensor, "crystals features"]:
        """Invariants per crystal, with the number of its atoms if edges are told."""
        if not self.atom_counts:
            return inputs.crystals
        counts = inputs.layout.num_atoms
        largest = max(block.size for block in inputs.layout.blocks)
        if largest >= self.atom_counts:
            raise InputError(
                f"This network knows crystals of up to {self.atom_counts - 1} atoms, got "
                f"{largest}. Ask for fewer atoms."
            )
        told = functional.one_hot(counts, self.atom_counts).to(inputs.crystals.dtype)
        return torch.cat([inputs.crystals, told], -1)

    def _near_images(self, inputs: NodeInput) -> NearImages | None:
        if not self.distances and not self.cell_angles:
            return None
        if inputs.lattice is None:
            raise InputError(
                "A cspnet with distances or cell_angles reads the lattice, and its stem gave none. "
                "Let the stem set NodeInput.lattice, or leave them out."
            )
        if self.cell_angles:
            return CellAngles(inputs.lattice(), 0)
        return NearImages(inputs.lattice(), self.distances)

    def _pair_terms(
        self,
        block: Block,
        frac_coords: Float[Tensor, "atoms 3"],
        products: torch.dtype,
        near: NearImages | None,
    ) -> PairTerms:
        if self.layers[0].table is not None and not torch.is_grad_enabled():
            return TabulatedPairs.of(block, frac_coords, self._points, products, near)
        return FourierPairs.of(block, frac_coords, self.frequencies, products, near)
