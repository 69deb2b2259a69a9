"""Stems: noisy components become node inputs."""

from dataclasses import replace
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.von_mises import UNIFORM_ENTROPY, entropy
from ase_crysdiff.networks.base import Context, NodeInput, Stem
from ase_crysdiff.networks.embeddings import time_embedding
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.processes.categorical_bayesian_flow import EVIDENCE
from ase_crysdiff.processes.joint import NoisyState
from ase_crysdiff.processes.periodic_bayesian_flow import CONCENTRATION
from ase_crysdiff.processes.state import auxiliaries
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.shapes import Float, Tensor

TIME_WIDTH = 256


class CrystalStem(Stem):
    """Species and time on the nodes, lattice invariants per crystal.

    Species are read through a linear map of their one-hot vector if they are generated, through an
    embedding if they are given; the published networks do the same. Source: Jiao et al. 2023
    (DiffCSP), section 4.2 and code.

    Args:
        hidden: Width of the nodes.
        lattice: Representation of the lattice component.
        generates_species: Whether species are part of the noisy state.
    """

    def __init__(
        self, hidden: int, lattice: LatticeRepresentation, generates_species: bool
    ) -> None:
        super().__init__()
        self.lattice = lattice
        self.generates_species = generates_species
        self.species: nn.Module = (
            Linear(NUM_SPECIES, hidden) if generates_species else nn.Embedding(NUM_SPECIES, hidden)
        )
        self.join = Linear(hidden + TIME_WIDTH, hidden)

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> NodeInput:
        given = self._seen(state).to(t.dtype) if self.generates_species else context["species"]
        species = self.species(given)
        time = layout.broadcast(time_embedding(t, TIME_WIDTH), "atom")
        nodes = self.join(torch.cat([species, time], -1))
        return _inputs(nodes, self.lattice, state, layout)

    def _seen(self, state: NoisyState) -> Tensor:
        """What is seen of generated species."""
        return functional.one_hot(state["species"], NUM_SPECIES)


class BeliefStem(CrystalStem):
    """For Bayesian flows: nodes also read how sure the belief about each of their coordinates is,
    and of generated species the believed probabilities.

    The certainty is 1 - H / ln 2π of the von Mises belief: 0 for none, about 1 for each factor of
    40 in accuracy. The published network reads the logarithm of the concentration, of which H is
    minus a half where that is large.

    Source: Wu et al. 2025 (CrysBFN), entropy conditioning.
    """

    def __init__(
        self, hidden: int, lattice: LatticeRepresentation, generates_species: bool
    ) -> None:
        super().__init__(hidden, lattice, generates_species)
        self.certainty = Linear(3, hidden, bias=False)

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> NodeInput:
        inputs = super().forward(state, t, context, layout)
        concentration = auxiliaries(state, "frac_coords")[CONCENTRATION]
        certainty = 1 - entropy(concentration) / UNIFORM_ENTROPY
        return replace(inputs, nodes=inputs.nodes + self.certainty(certainty))

    def _seen(self, state: NoisyState) -> Tensor:
        believed = torch.softmax(auxiliaries(state, "species")[EVIDENCE], -1)
        return 2 * believed - 1


class LinearTimeStem(Stem):
    """Given species by an embedding, to which time is added along one direction; lattice invariants
    per crystal.

    What FlowMM's two linear maps of time and species amount to. Source: Miller et al. 2024
    (FlowMM), code.

    Args:
        hidden: Width of the nodes.
        lattice: Representation of the lattice component.
        generates_species: Whether species are part of the noisy state.

    Raises:
        InputError: If species are part of the noisy state.
    """

    def __init__(
        self, hidden: int, lattice: LatticeRepresentation, generates_species: bool
    ) -> None:
        super().__init__()
        if generates_species:
            raise InputError(
                "The stem linear-time reads given species, and this model generates them. Take the "
                "stem embedding."
            )
        self.lattice = lattice
        self.species = nn.Embedding(NUM_SPECIES, hidden)
        self.time = nn.Parameter(torch.zeros(hidden))

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> NodeInput:
        nodes = self.species(context["species"]) + layout.broadcast(t, "atom")[:, None] * self.time
        return _inputs(nodes, self.lattice, state, layout)


def _inputs(
    nodes: Float[Tensor, "atoms hidden"],
    lattice: LatticeRepresentation,
    state: NoisyState,
    layout: Layout,
) -> NodeInput:
    """Nodes with the geometry of a state."""
    return NodeInput(
        nodes,
        lattice.invariants(state["lattice"]),
        state["frac_coords"],
        layout,
        partial(lattice.decode, state["lattice"]),
    )
