"""CSPNet as its authors describe it, and as we extend it by distances: a list of edges and
concatenated edge inputs. Slow and obvious.

The oracle for `networks.encoders.cspnet` and the baseline of its benchmark. It borrows the
parameters of the fast network, whose layout is the published one.
"""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.base import Features, NodeInput
from ase_crysdiff.networks.embeddings import fourier_features
from ase_crysdiff.networks.encoders.cspnet import CSPLayer, CSPNet


class ReferenceCSPNet(nn.Module):
    """The published equations on explicit edges, with the weights of a `CSPNet`.

    Source: Jiao et al. 2023 (DiffCSP), equations 9-12.
    """

    def __init__(self, fast: CSPNet) -> None:
        super().__init__()
        self.fast = fast

    def forward(self, inputs: NodeInput) -> Features:
        """Same input and output as the fast network."""
        receiver, sender = all_pairs(inputs.layout.num_atoms.tolist())
        frac, batch = inputs.frac_coords, inputs.layout.batch_index
        difference = (frac[sender] - frac[receiver]) % 1.0
        nodes, near = inputs.nodes, []
        if self.fast.distances:
            assert inputs.lattice is not None
            lattices, own = inputs.lattice()[batch[receiver]], (receiver == sender)[:, None]
            rows = [
                near_image(d, lattice, self.fast.distances)
                for d, lattice in zip(frac[sender] - frac[receiver], lattices, strict=True)
            ]
            near = [torch.stack(rows).masked_fill(own, 0.0)]
        for layer in self.fast.layers:
            assert isinstance(layer, CSPLayer)
            normed = layer.norm(nodes)
            crystal = inputs.crystals[batch[receiver]]
            sines, cosines = fourier_features(
                difference, self.fast.frequencies
            )  # in every layer, as published
            edges = torch.cat(
                [normed[receiver], normed[sender], crystal, sines, cosines, *near], -1
            )
            messages = functional.silu(layer.edge_out(functional.silu(layer.edge_in(edges))))
            total = torch.zeros_like(nodes).index_add_(0, receiver, messages)
            mean = total / inputs.layout.num_atoms[batch][:, None]
            update = torch.cat([normed, mean], -1)
            nodes = nodes + functional.silu(layer.node_out(functional.silu(layer.node_in(update))))
        nodes = self.fast.norm(nodes)
        pooled = torch.zeros(
            inputs.layout.num_crystals, nodes.shape[1], dtype=nodes.dtype
        ).index_add_(0, batch, nodes)
        return Features(nodes, pooled / inputs.layout.num_atoms[:, None])


def near_image(difference: torch.Tensor, lattice: torch.Tensor, distances: int) -> torch.Tensor:
    """Direction and functions of the distance of one pair, image by image.

    Args:
        difference: Fractional, shape (3,).
        lattice: Rows in Å, shape (3, 3).
        distances: Functions of the distance.
    """
    rounded, one = difference - difference.round(), difference.new_ones(())
    shortest, total, mean = one * torch.inf, one * 0, torch.zeros_like(difference)
    for shift in itertools.product((-1, 0, 1), repeat=3):
        image = rounded + rounded.new_tensor(shift)
        square = (image @ lattice).square().sum()
        shortest = torch.minimum(shortest, square.sqrt())
        mean, total = mean + torch.exp(-square) * image, total + torch.exp(-square)
    shortest = shortest.clamp_min(0.5)
    x = (shortest / 8.0).clamp(max=1.0)
    fading = 1 - 21 * x**5 + 35 * x**6 - 15 * x**7
    waves = [
        torch.sin(n * math.pi * shortest / 8.0) / (shortest / 4.0) for n in range(1, distances + 1)
    ]
    return torch.cat([5.0 * mean / total / shortest * fading, torch.stack(waves) * fading])


def all_pairs(sizes: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Receiver and sender of every ordered pair inside each crystal, an atom and itself
    included.
    """
    receivers, senders, first = [], [], 0
    for size in sizes:
        for i in range(size):
            for j in range(size):
                receivers.append(first + i)
                senders.append(first + j)
        first += size
    return torch.tensor(receivers), torch.tensor(senders)
