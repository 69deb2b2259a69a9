"""A Crysformer that modules are added to: small corrections of what all its rounds say of an atom.

What a potential knows of an atom is spread over its rounds of attention: the element, then ever
more of the surroundings. A module reads all of it and adds to it what matters for one property.
Modules add up: two beside each other are one that is as wide as both, so that a weighted sum of
modules is a module, exactly.

Source: Houlsby et al. 2019, bottleneck adapters, with a zero at the start; MoMa (2025), modules of
one encoder that are composed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.base import Features
from ase_crysdiff.networks.encoders.crysformer.periodic import PeriodicCrysformer
from ase_crysdiff.networks.graph import CrystalGraph, Graph
from ase_crysdiff.networks.message_passing import features
from ase_crysdiff.shapes import Float, Tensor

#: What the names of a module's tensors begin with in the network.
MODULE = "module."


@dataclass(frozen=True)
class DescribedGraph(CrystalGraph):
    """Crystals whose atoms have been described already: edges are of no use any more.

    Args:
        atoms: What `ModularCrysformer.plain` said of them.
    """

    atoms: Float[Tensor, "atoms features"]

    @staticmethod
    def of_graph(graph: CrystalGraph, atoms: Float[Tensor, "atoms features"]) -> "DescribedGraph":
        """A graph with the descriptions of its atoms."""
        return DescribedGraph(
            **{f.name: getattr(graph, f.name) for f in fields(graph)}, atoms=atoms
        )


class Bottleneck(nn.Module):
    """x + U s(D x + b), with s the SiLU and U = 0 at the start.

    Args:
        inputs: Width of the vectors.
        width: Of the bottleneck.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, width)
        self.up = nn.Linear(width, inputs, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, nodes: Float[Tensor, "atoms inputs"]) -> Float[Tensor, "atoms inputs"]:
        """The corrected vectors."""
        corrected: Tensor = nodes + self.up(functional.silu(self.down(nodes)))
        return corrected


class ModularCrysformer(PeriodicCrysformer):
    """The vectors of an atom before and after every round of attention, each number standardised,
    side by side, and corrected by a module.

    Args:
        hidden: Width of a round; the features are (layers + 1) times as wide.
        layers: Rounds of attention.
        width: Of the module.
        arguments: The others of `PeriodicCrysformer`.
    """

    def __init__(
        self, hidden: int = 64, layers: int = 3, width: int = 32, **arguments: Any
    ) -> None:
        super().__init__(hidden, layers, **arguments)
        self.hidden = hidden * (layers + 1)
        self.shift = nn.Parameter(torch.zeros(self.hidden), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(self.hidden), requires_grad=False)
        self.module = Bottleneck(self.hidden, width)

    def forward(self, graph: Graph) -> Features:
        known = graph.atoms if isinstance(graph, DescribedGraph) else self.plain(graph)
        return features(self.module(known), graph)

    def plain(self, graph: Graph) -> Float[Tensor, "atoms features"]:
        """Standardised vectors of the atoms, before the module: the same for all modules, so that
        they need to be computed once.
        """
        nodes = torch.cat(self.rounds(graph), -1)
        return (nodes - self.shift) / self.scale

    def freeze_trunk(self) -> None:
        """Leaves the module alone to be trained, in place."""
        self.requires_grad_(False)
        self.module.requires_grad_(True)


def side_by_side(
    modules: Sequence[Mapping[str, Tensor]], weights: Sequence[float]
) -> dict[str, Tensor]:
    """The tensors of the weighted sum of modules: one that is as wide as all of them.

    Args:
        modules: Tensors of a `Bottleneck` by name, of each.
        weights: Of each.
    """
    merged = {n: torch.cat([m[n] for m in modules]) for n in ("down.weight", "down.bias")}
    up = [weight * m["up.weight"] for weight, m in zip(weights, modules, strict=True)]
    return {**merged, "up.weight": torch.cat(up, 1)}
