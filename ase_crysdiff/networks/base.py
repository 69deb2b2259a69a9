"""What networks are made of, and the contracts of encoders.

An author of an encoder writes one class and one line of entry point (group
`ase_crysdiff.encoders`). What the class reads decides what it serves; the adapters between the uses
are ours and the same for all:

- An `Encoder` reads `NodeInput`: node vectors, invariants of the cell, fractional coordinates. It
  serves generation, with a stem before it and heads behind it (`Denoiser`), and properties, with
  elements and lattice put before it (`cell_backbone.CellBackbone`).
- A `Backbone` reads a `CrystalGraph`: species, edges, and cells and profiles of distances if it
  wants them. It serves properties (`property_network.PropertyNetwork`) and their pretraining
  (`latent.crysldnet.CrysLDNet`).
- A `Backbone` that says `is_smooth` reads species and edges only, a plain `Graph`. It serves
  potentials, too (`energy.AtomicEnergies`).

Common to all of them: `hidden` is the width of what they return; they return `Features`, rows of
atoms in the order given and rows of crystals; features of a crystal depend on nothing but this
crystal (no norms over a batch), so that a batch and its members one by one give the same; atoms may
come in any order and at any of their periodic images. `testing.encoders` holds the checks of both
contracts, for every registered name.

What differs is what an encoder is told of the crystal. In generation, elements and time are noisy
and a stem makes node vectors of them, so an `Encoder` learns nothing of vocabularies; it sees every
pair of atoms of one cell, since the neighbours of a noisy crystal mean little. A `Backbone` reads
clean crystals, embeds the elements itself (`species_embeddings`) and sees neighbours in space, so
that supercells have the same features. A potential, moreover, has to be smooth where an atom
crosses the cutoff.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import nn

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.networks.graph import CrystalGraph, Neighborhood
from ase_crysdiff.processes.joint import NoisyState, Prediction
from ase_crysdiff.shapes import Float, Tensor

#: What is given, not generated: fields of CrystalBatch, and by name the properties that are told.
Context = Mapping[str, Tensor]


@dataclass(frozen=True)
class NodeInput:
    """What an encoder of a denoiser reads. It learns nothing of time, vocabularies or vacancies.

    Args:
        nodes: Node vectors, shape (atoms, hidden).
        crystals: Rotation-invariant numbers per crystal (lattice, conditions), shape (crystals,
            features).
        frac_coords: Fractional coordinates, shape (atoms, 3).
        layout: Which atoms belong together.
        lattice: Gives the lattice vectors as rows, Å, shape (crystals, 3, 3), in whatever
            orientation: what an encoder makes of them must not depend on it. A function, since few
            encoders ask.
        adapt: Changes the nodes after a round of messages, given its number, by what is told of the
            crystals; None where nothing is told.
    """

    nodes: Float[Tensor, "atoms hidden"]
    crystals: Float[Tensor, "crystals features"]
    frac_coords: Float[Tensor, "atoms 3"]
    layout: Layout
    lattice: Callable[[], Tensor] | None = None
    adapt: Callable[[int, Tensor], Tensor] | None = None

    def adapted(self, place: int, nodes: Tensor) -> Tensor:
        """The nodes after the round of messages of this number, from 0."""
        return nodes if self.adapt is None else self.adapt(place, nodes)


@dataclass(frozen=True)
class Features:
    """What every encoder returns: vectors per atom and, as their mean or better, per crystal."""

    nodes: Float[Tensor, "atoms hidden"]
    crystals: Float[Tensor, "crystals hidden"]


class Encoder(nn.Module, ABC):
    """Turns node inputs into features: equivariant under permutations, invariant under lattice
    translations of atoms.

    A subclass takes the number of invariants per crystal as its first argument
    (`crystal_features`), then arguments of its own, all with defaults, among them `hidden`.

    Attributes:
        hidden: Width of nodes and features.
        products: Number format of the large matrix products; None takes that of the inputs. Sums
            and norms keep theirs.
        small: Arguments with which it is a backbone for properties that a CPU can train.
        rounds: Rounds of messages, after each of which it lets `NodeInput.adapted` change the
            nodes; 0 for an encoder that does not.
    """

    hidden: int
    products: torch.dtype | None = None
    small: ClassVar[Mapping[str, Any]] = {}
    rounds: int = 0

    @abstractmethod
    def forward(self, inputs: NodeInput) -> Features:
        """Features of a batch."""

    def tabulate(self) -> None:
        """Prepares for inference with weights that will not change any more; must not change
        results beyond rounding.
        """


class Backbone(nn.Module, ABC):
    """Turns crystals into features that do not change under rotations, reflections, translations
    and permutations of atoms.

    A subclass takes arguments that all have defaults, among them `hidden`, and asks for its edges
    by `neighborhood`. If it reads nothing but the fields of a `Graph` and is smooth at its cutoff,
    it says so by `is_smooth` and can be the network of a potential.

    Attributes:
        hidden: Width of the features.
        neighborhood: The graph it reads.
        needs_canonical_cell: Whether features depend on which of the cells of a crystal is given.
            Then give primitive Niggli cells, always.
        is_smooth: Whether the features of atoms change smoothly with the edges' vectors, also where
            an edge reaches the cutoff and leaves, and are read off a plain `Graph`.
    """

    hidden: int
    neighborhood: Neighborhood
    needs_canonical_cell: bool = False
    is_smooth: bool = False

    @abstractmethod
    def forward(self, graph: CrystalGraph) -> Features:
        """Features of atoms, in the graph's order, and of crystals, the mean over their atoms."""


class Stem(nn.Module, ABC):
    """Makes node inputs from a noisy state."""

    @abstractmethod
    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> NodeInput:
        """Inputs of the encoder."""


class Head(nn.Module, ABC):
    """Turns features into the prediction of one component."""

    @abstractmethod
    def forward(self, features: Features, value: Tensor) -> Tensor:
        """The prediction; `value` is the component's noisy state."""


class Denoiser(nn.Module):
    """Predicts, for every component of a noisy state, what its process asks for: a stem (noisy
    components to node inputs), an encoder, and one head per component.

    Args:
        stem: Noisy components to node inputs.
        encoder: Node inputs to features.
        heads: One per component.
        centred: Components whose predictions have no mean over the atoms of a crystal.
    """

    def __init__(
        self, stem: Stem, encoder: Encoder, heads: Mapping[str, Head], centred: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.centred = frozenset(centred)
        self.stem = stem
        self.encoder = encoder
        self.heads = nn.ModuleDict(dict(heads))
        #: Reads what is told of the crystals, see `networks.conditioning`; None reads nothing.
        self.conditioning: nn.Module | None = None

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> Prediction:
        """Predictions per component; one time per crystal."""
        inputs = self.stem(state, t, context, layout)
        if self.conditioning is not None:
            inputs = replace(inputs, adapt=self.conditioning(context, layout))
        return self.predictions(self.encoder(inputs), state, layout)

    def predictions(self, features: Features, state: NoisyState, layout: Layout) -> Prediction:
        """What the heads make of features."""
        prediction = {name: head(features, state[name]) for name, head in self.heads.items()}
        return {
            name: layout.centred(p) if name in self.centred else p for name, p in prediction.items()
        }

    @property
    def num_parameters(self) -> int:
        """Numbers in all parameters, whether they are being trained or not."""
        return sum(p.numel() for p in self.parameters())
