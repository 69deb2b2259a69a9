"""What encoders with edges are made of: maps of edges, and sums of messages."""

import torch
from torch import nn

from ase_crysdiff.networks.base import Features
from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.networks.linear import Linear, product
from ase_crysdiff.shapes import Float, Int, Tensor


class EdgeLinear(nn.Module):
    """A linear map of vectors at the ends of an edge and of the edge, joined: W [x_i, x_j, e_ij] +
    b, where i is the receiver and j the sender.

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
        """The map of every edge.

        Args:
            nodes: Vectors of the atoms.
            edges: Vectors of the edges.
            ends: Atoms at the ends of every edge, as many as the constructor was told.
        """
        of_nodes, of_edges = self.linear.weight.split(self.columns, 1)
        # (atoms, ends * outputs): one product for all ends
        at_nodes = product(nodes, torch.cat(of_nodes.chunk(self.ends, 1))).chunk(self.ends, -1)
        result = product(edges, of_edges, self.linear.bias)
        for part, end in zip(at_nodes, ends, strict=True):
            result = result + part.index_select(0, end)
        return result


class EdgeMLP(nn.Module):
    """`EdgeLinear`, SiLU, then a linear map.

    Args:
        hidden: Width of everything.
        ends: How many ends of an edge are joined, 1 or 2.
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
        """The map of every edge.

        Args:
            nodes: Vectors of the atoms.
            edges: Vectors of the edges.
            ends: Atoms at the ends of every edge, as many as the constructor was told.
        """
        return self.out(nn.functional.silu(self.join(nodes, edges, *ends)))


def aggregate(
    messages: Float[Tensor, "edges width"], graph: Graph, reduce: str = "sum"
) -> Float[Tensor, "atoms width"]:
    """Messages added up, or averaged, at the receivers of their edges.

    Args:
        messages: One per edge.
        graph: Whose edges they are.
        reduce: `sum` or `mean`. An atom without edges gets zeros.
    """
    from torch_geometric.utils import scatter

    return scatter(messages, graph.receivers, 0, len(graph.species), reduce)


def system_means(rows: Float[Tensor, "atoms ..."], graph: Graph) -> Float[Tensor, "systems ..."]:
    """Means over the atoms of each system of a graph, each of which has at least one atom."""
    sums = rows.new_zeros(graph.num_systems, *rows.shape[1:]).index_add(0, graph.systems, rows)
    counts = torch.bincount(graph.systems, minlength=graph.num_systems).to(rows.dtype)
    return sums / counts.view(-1, *(1,) * (rows.dim() - 1))


def features(nodes: Float[Tensor, "atoms hidden"], graph: Graph) -> Features:
    """Features of atoms, and their means over the atoms of each system."""
    return Features(nodes, system_means(nodes, graph))
