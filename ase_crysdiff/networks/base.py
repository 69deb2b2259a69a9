"""A denoiser = stem (noisy components to node inputs) + encoder + one head per component."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import NoisyState, Prediction
from ase_crysdiff.shapes import Float, Tensor

#: What is given, not generated: field of CrystalBatch -> tensor.
Context = Mapping[str, Tensor]


@dataclass(frozen=True)
class NodeInput:
    """What every encoder reads. It learns nothing of time, vocabularies or vacancies.

    Args:
        nodes: Node vectors, shape (atoms, hidden).
        crystals: Rotation-invariant numbers per crystal (lattice, conditions), shape (crystals,
            features).
        frac_coords: Fractional coordinates, shape (atoms, 3).
        layout: Which atoms belong together.
    """

    nodes: Float[Tensor, "atoms hidden"]
    crystals: Float[Tensor, "crystals features"]
    frac_coords: Float[Tensor, "atoms 3"]
    layout: Layout


@dataclass(frozen=True)
class Features:
    """What every encoder returns: vectors per atom and, as their mean or better, per crystal."""

    nodes: Float[Tensor, "atoms hidden"]
    crystals: Float[Tensor, "crystals hidden"]


class Encoder(nn.Module, ABC):
    """Turns node inputs into features: equivariant under permutations, invariant under lattice
    translations of atoms.

    Attributes:
        hidden: Width of nodes and features.
        products: Number format of the large matrix products; None takes that of the inputs. Sums
            and norms keep theirs.
    """

    hidden: int
    products: torch.dtype | None = None

    @abstractmethod
    def forward(self, inputs: NodeInput) -> Features:
        """Features of a batch."""

    def tabulate(self) -> None:
        """Prepares for inference with weights that will not change any more; must not change
        results beyond rounding.
        """


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
    """Predicts, for every component of a noisy state, what its process asks for.

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

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> Prediction:
        """Predictions per component; one time per crystal."""
        return self.predictions(self.encoder(self.stem(state, t, context, layout)), state, layout)

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
