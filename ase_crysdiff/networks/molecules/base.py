"""The contract of encoders of molecules, and the denoiser around them.

An author of such an encoder writes one class and one line of entry point (group
`ase_crysdiff.molecule_encoders`). It reads node vectors, two sets of places and who belongs to
whom, and returns node vectors and, for every atom, a vector in space: the first unchanged by
rotations, reflections and translations of the molecule, the second turning with it.
`testing.molecule_encoders` holds the checks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import nn

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.networks.base import Context, Denoiser
from ase_crysdiff.networks.conditioning import Conditioning
from ase_crysdiff.networks.embeddings import time_embedding
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.networks.molecules.groups import HYDROGENS, Groups
from ase_crysdiff.processes.joint import NoisyState, Prediction
from ase_crysdiff.schedules.accuracy import Accuracy
from ase_crysdiff.shapes import Float, Tensor

POSITIONS = "positions"
TIME_WIDTH = 128


@dataclass(frozen=True)
class MoleculeInput:
    """What an encoder of molecules reads, of molecules of equal size.

    Args:
        nodes: Node vectors.
        seen: Places as they were observed, of the same spread at all times.
        believed: Places as they are believed to be, the mean of the belief.
        deviation: Standard deviation of that belief, by molecule.
        groups: Which atoms belong together.
        adapt: Changes the nodes after a round of messages, given its number, by what is told of the
            molecules; None where nothing is told.
    """

    nodes: Float[Tensor, "count size hidden"]
    seen: Float[Tensor, "count size 3"]
    believed: Float[Tensor, "count size 3"]
    deviation: Float[Tensor, "count 1 1"]
    groups: Groups
    adapt: Callable[[int, Tensor], Tensor] | None = None

    def adapted(self, place: int, nodes: Tensor) -> Tensor:
        """The nodes after the round of messages of this number, from 0."""
        return nodes if self.adapt is None else self.adapt(place, nodes)


class MoleculeEncoder(nn.Module, ABC):
    """Turns node vectors and places into moves of atoms, equivariant under E(3).

    A subclass takes arguments that all have defaults, among them `hidden`, and the unit of length
    of places in Å (`unit`).

    Attributes:
        hidden: Width of the nodes.
        rounds: Rounds of messages, after each of which it lets `MoleculeInput.adapted` change the
            nodes.
    """

    hidden: int
    rounds: int = 0
    #: Taken by none of them; stands here since training sets it on every encoder.
    products: torch.dtype | None = None
    #: Arguments with which its contract is checked fast.
    small: ClassVar[dict[str, int]] = {}

    @abstractmethod
    def forward(
        self, inputs: MoleculeInput
    ) -> tuple[Float[Tensor, "count size hidden"], Float[Tensor, "count size 3"]]:
        """Node vectors, and moves in standard deviations of the belief."""

    def tabulate(self) -> None:
        """Nothing to prepare."""


class MoleculeDenoiser(Denoiser):
    """Predicts how far the atoms of a molecule lie from where they are believed to be.

    Args:
        encoder: Node vectors and places to moves.
        accuracy: Of the evidence about places, as a function of time.
    """

    encoder: MoleculeEncoder  # type: ignore[assignment]  # of another contract

    def __init__(self, encoder: MoleculeEncoder, accuracy: Accuracy) -> None:
        nn.Module.__init__(self)
        self.accuracy = accuracy
        self.encoder = encoder
        hidden = encoder.hidden
        self.species = nn.Embedding(NUM_SPECIES, hidden)
        self.centre = nn.Embedding(NUM_SPECIES, hidden)
        self.hydrogens = nn.Embedding(HYDROGENS, hidden)
        self.time = Linear(TIME_WIDTH, hidden)
        self.centred = frozenset({POSITIONS})
        self.conditioning: nn.Module | None = None

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> Prediction:
        accuracy = self.accuracy.at(t)
        deviation = torch.rsqrt(1 + accuracy)
        seen = torch.sqrt((1 + accuracy) / accuracy.clamp_min(1e-6))
        time = self.time(time_embedding(t, TIME_WIDTH))
        everyone = torch.arange(len(t), device=t.device)
        moves = []
        for block in layout.blocks:
            crystals = _at_least_two(everyone[block.crystals])
            species = _at_least_two(block.view(context["species"]))
            groups = Groups.of(species)
            nodes = (
                self.species(species)
                + self.centre(species.gather(1, groups.centre))
                + self.hydrogens(groups.hydrogens)
                + time[crystals].unsqueeze(1)
            )
            believed = _at_least_two(block.view(state[POSITIONS]))
            inputs = MoleculeInput(
                nodes,
                believed * seen[crystals, None, None],
                believed,
                deviation[crystals, None, None],
                groups,
                self._adapting(crystals, block.size, context, layout),
            )
            moves.append(self.encoder(inputs)[1][: block.count].flatten(0, 1))
        return {POSITIONS: layout.centred(torch.cat(moves))}

    def _adapting(
        self, crystals: Tensor, size: int, context: Context, layout: Layout
    ) -> Callable[[int, Tensor], Tensor] | None:
        """What changes the nodes of molecules of one size; None where nothing is told."""
        if self.conditioning is None:
            return None
        names = cast(Conditioning, self.conditioning).adapters
        told = {name: context[name][crystals] for name in names if name in context}
        own = Layout((size,) * len(crystals), layout.device, layout.dtype)
        adapt = self.conditioning(told, own)
        if adapt is None:
            return None
        return lambda place, nodes: adapt(place, nodes.flatten(0, 1)).view_as(nodes)


def _at_least_two(values: Tensor) -> Tensor:
    """A stack of one twice, since libraries take other kernels for it, with other last digits
    (measured on an Intel Sapphire Rapids): a molecule must not depend on how many are drawn with
    it.
    """
    return values if len(values) > 1 else torch.cat([values, values])
