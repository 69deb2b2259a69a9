"""What backbones with edges are made of."""

import torch
from torch import nn

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.networks.backbones.base import CrystalGraph
from ase_crysdiff.networks.base import Features
from ase_crysdiff.networks.linear import Linear, product
from ase_crysdiff.shapes import Float, Int, Tensor


def gaussians(
    x: Float[Tensor, " edges"], start: float, stop: float, count: int
) -> Float[Tensor, "edges count"]:
    """exp(-(x - c)² / Δ) for centres c from start to stop at a spacing Δ.

    The spacing itself divides, not its square, so that neighbouring functions overlap widely.
    Source: Yan et al. 2022 (Matformer), code, and all that build on it.
    """
    centres = torch.linspace(start, stop, count, device=x.device, dtype=x.dtype)
    return torch.exp(-((x.unsqueeze(-1) - centres) ** 2) * ((count - 1) / (stop - start)))


class EdgeLinear(nn.Module):
    """A linear map of vectors at the ends of an edge and of the edge, joined: W [x_i, x_j, e_ij] +
    b.

    Columns of W that meet atoms are multiplied once per atom, not once per edge.

    Args:
        nodes: Width of the vectors at the ends.
        edges: Width of the edges.
        outputs: Width of the result.
        ends: How many ends are joined, 1 or 2.
    """

    def __init__(self, nodes: int, edges: int, outputs: int, ends: int = 2) -> None:
        super().__init__()
        self.columns = [ends * nodes, edges]
        self.ends = ends
        self.linear = Linear(sum(self.columns), outputs)

    def forward(
        self,
        nodes: Float[Tensor, "atoms nodes"],
        edges: Float[Tensor, "edges width"],
        *ends: Int[Tensor, " edges"],
    ) -> Float[Tensor, "edges outputs"]:
        """The map; `ends` are the atoms at the ends of every edge, as many as the constructor was
        told.
        """
        of_nodes, of_edges = self.linear.weight.split(self.columns, 1)
        # (atoms, ends * outputs): one product for all ends
        at_nodes = product(nodes, torch.cat(of_nodes.chunk(self.ends, 1))).chunk(self.ends, -1)
        result = product(edges, of_edges, self.linear.bias)
        for part, end in zip(at_nodes, ends, strict=True):
            result = result + part.index_select(0, end)
        return result


class EdgeMLP(nn.Module):
    """`EdgeLinear`, SiLU, linear.

    Args:
        hidden: Width of everything.
        ends: As in `EdgeLinear`.
    """

    def __init__(self, hidden: int, ends: int = 2) -> None:
        super().__init__()
        self.join = EdgeLinear(hidden, hidden, hidden, ends)
        self.out = Linear(hidden, hidden)

    def forward(
        self,
        nodes: Float[Tensor, "atoms hidden"],
        edges: Float[Tensor, "edges hidden"],
        *ends: Int[Tensor, " edges"],
    ) -> Float[Tensor, "edges hidden"]:
        """As in `EdgeLinear`."""
        return self.out(nn.functional.silu(self.join(nodes, edges, *ends)))


def gathered(
    messages: Float[Tensor, "edges width"], graph: CrystalGraph, reduce: str = "sum"
) -> Float[Tensor, "atoms width"]:
    """Messages of all edges added up, or averaged, at the atoms where they begin."""
    from torch_geometric.utils import scatter

    return scatter(messages, graph.first, 0, len(graph.crystals.species), reduce)


def crystal_means(
    rows: Float[Tensor, "atoms ..."], layout: Layout
) -> Float[Tensor, "crystals ..."]:
    """Means over the atoms of each crystal."""
    from torch_geometric.utils import scatter

    return scatter(rows, layout.batch_index, 0, layout.num_crystals, "mean")


def features(nodes: Float[Tensor, "atoms hidden"], layout: Layout) -> Features:
    """Features of atoms, and their means over the atoms of a crystal."""
    return Features(nodes, crystal_means(nodes, layout))
