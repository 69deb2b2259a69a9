"""An energy as a sum of atomic terms, with its gradient with respect to every edge."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.networks.radial import envelope
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.shapes import Float, Int, Tensor


class EnergyTerms(NamedTuple):
    """Of a graph, in its order of atoms. A tuple, because Fabric looks for tensors in what networks
    return.

    Args:
        energies: Of each atom, eV, shape (atoms,).
        forces: eV/Å, shape (atoms, 3).
        virials: ∂E/∂strain of each system, eV, symmetric; stress is that over the volume. Shape
            (systems, 3, 3).
    """

    energies: Float[Tensor, " atoms"]
    forces: Float[Tensor, "atoms 3"]
    virials: Float[Tensor, "systems 3 3"]


def no_terms(graph: Graph) -> EnergyTerms:
    """Zeros for all atoms and systems of a graph."""
    energies = graph.vectors.new_zeros(len(graph.species))
    forces = graph.vectors.new_zeros(len(graph.species), 3)
    return EnergyTerms(energies, forces, graph.vectors.new_zeros(graph.num_systems, 3, 3))


class AtomicEnergies(nn.Module):
    """Encoder and readout: interaction energy of every atom, zero for an isolated one.

    Reference energies of the elements and short-range repulsion are not part of it.

    Args:
        encoder: A backbone that is smooth at its cutoff.
        levels: Levels of theory, each of which has a readout of its own.

    Attributes:
        neighborhood: Which edges the encoder reads.

    Raises:
        IncompatibleError: If forces of the encoder would jump, or it reads the cell.
    """

    def __init__(self, encoder: Backbone, levels: int = 1) -> None:
        super().__init__()
        cutoff = encoder.neighborhood.cutoff
        if not encoder.is_smooth or cutoff is None or encoder.needs_canonical_cell:
            raise IncompatibleError(
                f"{type(encoder).__name__} is not smooth at a cutoff, so that its forces would "
                "jump. A potential needs an encoder with a cutoff and is_smooth, such as "
                "'crysformer' or 'tensornet'."
            )
        self.neighborhood = encoder.neighborhood
        self.encoder = encoder
        self.levels = levels
        self.norm = nn.LayerNorm(encoder.hidden)
        self.hidden = nn.Linear(encoder.hidden, levels * encoder.hidden)
        self.out = nn.Linear(encoder.hidden, levels)

    @property
    def num_parameters(self) -> int:
        """Numbers in all parameters."""
        return sum(p.numel() for p in self.parameters())

    def energies(
        self, graph: Graph, level: Int[Tensor, " systems"] | None = None
    ) -> Float[Tensor, " atoms"]:
        """Interaction energies, eV. The factor n / (1 + n), with n the sum of the envelopes of an
        atom's edges, takes them to zero as the last neighbour leaves.

        Args:
            graph: Atoms and edges.
            level: Which readout answers for each system; None for the first.
        """
        return self._read(self.encoder(graph).nodes, graph, level) * self.presence(graph)

    def presence(self, graph: Graph) -> Float[Tensor, " atoms"]:
        """Share of its energy that an atom has: n / (1 + n), n the sum of its edges' envelopes."""
        # No atom lies on another; the bound only keeps the gradient finite if one does.
        distances = graph.vectors.square().sum(-1).clamp_min(1e-12).sqrt()
        species = graph.species
        limits = self.neighborhood.cutoffs(
            species[graph.receivers], species[graph.senders], distances.dtype
        )
        amount = torch.zeros_like(species, dtype=distances.dtype)
        amount = amount.index_add(0, graph.receivers, envelope(distances / limits))
        return amount / (1 + amount)

    def features(self, graph: Graph) -> Float[Tensor, "atoms hidden"]:
        """What the readouts see of every atom."""
        features: Tensor = self.norm(self.encoder(graph).nodes)
        return features

    def _read(
        self, nodes: Float[Tensor, "atoms hidden"], graph: Graph, level: Tensor | None
    ) -> Float[Tensor, " atoms"]:
        hidden = functional.silu(self.hidden(self.norm(nodes)))
        if self.levels == 1:
            return self.out(hidden).squeeze(-1)
        readouts = hidden.unflatten(-1, (self.levels, -1)) * self.out.weight
        values = readouts.sum(-1) + self.out.bias  # (atoms, levels)
        if level is None:
            return values[:, 0]
        return values.gather(1, level[graph.systems].unsqueeze(-1)).squeeze(-1)

    def forward(self, graph: Graph, level: Int[Tensor, " systems"] | None = None) -> EnergyTerms:
        """Energies, forces and virials; differentiable with respect to the parameters while
        gradients are enabled. The graph stays as it is.

        Args:
            graph: Atoms and edges.
            level: Which readout answers for each system; None for the first.
        """
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            vectors = graph.vectors.detach().requires_grad_(True)
            energies = self.energies(replace(graph, vectors=vectors), level)
            (gradient,) = torch.autograd.grad(energies.sum(), vectors, create_graph=training)
        return EnergyTerms(
            energies if training else energies.detach(), *forces_and_virials(graph, gradient)
        )


def forces_and_virials(
    graph: Graph, gradient: Float[Tensor, "edges 3"]
) -> tuple[Float[Tensor, "atoms 3"], Float[Tensor, "systems 3 3"]]:
    """Forces and virials from the gradient of the energy with respect to the edges' vectors.

    An edge's vector leads from its receiver to its sender: moving the sender lengthens it, moving
    the receiver shortens it, and a strain ε changes a vector v by v ε. This is the gradient through
    positions and a symmetric strain, summed by hand.

    Args:
        graph: Whose edges they are.
        gradient: ∂E/∂v of every edge, eV/Å.

    Returns:
        Forces, eV/Å; and ∂E/∂strain of each system, eV, symmetric.
    """
    forces = gradient.new_zeros(len(graph.species), 3)
    forces = forces.index_add(0, graph.receivers, gradient).index_add(0, graph.senders, -gradient)
    outer = graph.vectors.detach().unsqueeze(-1) * gradient.unsqueeze(-2)
    per_atom = outer.new_zeros(len(graph.species), 3, 3).index_add(0, graph.receivers, outer)
    virials = outer.new_zeros(graph.num_systems, 3, 3).index_add(0, graph.systems, per_atom)
    return forces, (virials + virials.transpose(1, 2)) / 2


def build(config: Mapping[str, Any], levels: int = 1) -> AtomicEnergies:
    """The network of a potential for the encoder entry of its config.

    Args:
        config: `{"name": ..., **arguments}`. Entries of `dao-p` also say `edges: periodic`, and
            mean an embedding that has a row less than that of backbones.
        levels: Levels of theory that it answers for.

    Raises:
        InputError: If the name or an argument is not known.
        IncompatibleError: If the encoder is not smooth.
    """
    return AtomicEnergies(make_backbone(backbone_config(config)), levels)


def backbone_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The encoder entry of a potential's config as that of a backbone.

    Args:
        config: `{"name": ..., **arguments}`, as `build` takes it.
    """
    arguments = dict(config)
    if arguments.pop("edges", None) == "periodic":
        arguments.setdefault("num_species", NUM_SPECIES)
    return {"name": "crysformer", **arguments}


def readouts(tensors: Mapping[str, Tensor], chosen: Sequence[int]) -> dict[str, Tensor]:
    """The weights of a network of other levels of theory.

    Args:
        tensors: Weights by name.
        chosen: Which readout each level of the other network has, a position among those that there
            are; several may share one.
    """
    rows = torch.as_tensor(chosen, dtype=torch.long)
    result = dict(tensors)
    levels = len(tensors["out.bias"])
    for name in ("hidden.weight", "hidden.bias"):
        blocks = tensors[name].unflatten(0, (levels, -1))
        result[name] = blocks[rows].flatten(0, 1).contiguous()
    for name in ("out.weight", "out.bias"):
        result[name] = tensors[name][rows].contiguous()
    return result
