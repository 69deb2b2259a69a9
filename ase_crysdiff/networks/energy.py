"""An energy as a sum of atomic terms, with its gradient with respect to every edge."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.networks.encoders.crysformer_periodic import PeriodicCrysformer
from ase_crysdiff.networks.graph import PeriodicGraph
from ase_crysdiff.shapes import Float, Tensor


class EnergyTerms(NamedTuple):
    """Of a graph, in its order of atoms. A tuple, because Fabric looks for tensors in what networks
    return.

    Args:
        energies: Of each atom, eV, shape (atoms,).
        forces: eV/Å, shape (atoms, 3).
        virials: ∂E/∂strain of each set, eV, symmetric; stress is that over the volume. Shape (sets,
            3, 3).
    """

    energies: Float[Tensor, " atoms"]
    forces: Float[Tensor, "atoms 3"]
    virials: Float[Tensor, "sets 3 3"]


class AtomicEnergies(nn.Module):
    """Encoder and readout: interaction energy of every atom, zero for an isolated one.

    Reference energies of the elements and short-range repulsion are not part of it.

    Args:
        encoder: The periodic encoder.
    """

    def __init__(self, encoder: PeriodicCrysformer) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.LayerNorm(encoder.hidden)
        self.hidden = nn.Linear(encoder.hidden, encoder.hidden)
        self.out = nn.Linear(encoder.hidden, 1)

    @property
    def num_parameters(self) -> int:
        """Numbers in all parameters."""
        return sum(p.numel() for p in self.parameters())

    def energies(self, graph: PeriodicGraph) -> Float[Tensor, " atoms"]:
        """Interaction energies, eV. The factor n / (1 + n) takes them to zero as the last neighbour
        leaves.
        """
        nodes, amount = self.encoder(graph)
        value = self.out(functional.silu(self.hidden(self.norm(nodes)))).squeeze(-1)
        return value * (amount / (1 + amount))

    def forward(self, graph: PeriodicGraph) -> EnergyTerms:
        """Energies, forces and virials; differentiable with respect to the parameters while
        gradients are enabled.
        """
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            graph.vectors.requires_grad_(True)
            energies = self.energies(graph)
            (gradient,) = torch.autograd.grad(energies.sum(), graph.vectors, create_graph=training)
        return EnergyTerms(
            energies if training else energies.detach(), *forces_and_virials(graph, gradient)
        )


def forces_and_virials(graph: PeriodicGraph, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Forces and virials from the gradient of the energy with respect to the edges' vectors.

    Moving an atom lengthens the edges that end there and shortens those that begin there; a strain
    ε changes a vector v by v ε. This is the gradient through positions and a symmetric strain,
    summed by hand.
    """
    forces = gradient.new_zeros(len(graph.species), 3)
    forces = forces.index_add(0, graph.first, gradient).index_add(0, graph.second, -gradient)
    outer = graph.vectors.detach().unsqueeze(-1) * gradient.unsqueeze(-2)
    per_atom = outer.new_zeros(len(graph.species), 3, 3).index_add(0, graph.first, outer)
    virials = outer.new_zeros(graph.num_sets, 3, 3).index_add(0, graph.index, per_atom)
    return forces, (virials + virials.transpose(1, 2)) / 2


def build(config: Mapping[str, object]) -> AtomicEnergies:
    """The network of a config's encoder entry."""
    arguments = {k: v for k, v in config.items() if k not in ("name", "edges")}
    return AtomicEnergies(PeriodicCrysformer(**arguments))  # type: ignore[arg-type]
