"""What a denoiser is told of the crystal that it is to find: adapters, one set for each property.

After every round of messages an adapter adds to the nodes what its property makes of them:

    h <- h + U silu(D norm(h) + E p)

with an embedding p of the value, and U = 0 at the start. So an adapter that has not been trained
changes nothing, to the last bit, and neither does one whose property is not told: the model that
is told nothing is the model without adapters, whatever they have learnt. Several properties add
up, and each may be told or not, crystal by crystal.

Source: Zeni et al. 2025 (MatterGen), for adapters that are zero at first and absent where nothing
is told; Houlsby et al. 2019 for the narrow layer that reads the nodes. There the property's
embedding alone is added.
"""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.crystal.properties import CLASS, NUMBER, Property
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.base import Context, Denoiser
from ase_crysdiff.networks.linear import Linear
from ase_crysdiff.shapes import Bool, Float, Tensor

#: Parameters of a denoiser whose names begin with this belong to adapters.
PREFIX = "conditioning."
#: Width of embeddings and of the narrow layers.
WIDTH = 64
#: Sines and cosines of a number in units of its standard deviation.
_FREQUENCIES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class PropertyEmbedding(nn.Module):
    """A vector for every value of a property.

    Numbers are read in units of their standard deviation, with sines and cosines; classes have a
    row each; sets of elements are the sum of their rows.

    Args:
        declared: The property.
        width: Of the vectors.
    """

    def __init__(self, declared: Property, width: int) -> None:
        super().__init__()
        self.declared = declared
        if declared.kind == NUMBER:
            inputs = 1 + 2 * len(_FREQUENCIES)
        else:
            inputs = len(declared.classes) if declared.kind == CLASS else declared.width
        self.read, self.out = Linear(inputs, width), Linear(width, width)

    def forward(self, rows: Float[Tensor, "crystals values"]) -> Float[Tensor, "crystals width"]:
        """Vectors of rows as `Property.row` makes them; of those that tell nothing some vector."""
        known = rows.nan_to_num(0.0)
        if self.declared.kind == NUMBER:
            z = (known - self.declared.mean) / self.declared.scale
            angles = z * torch.tensor(_FREQUENCIES, device=rows.device, dtype=rows.dtype)
            known = torch.cat([z, angles.sin(), angles.cos()], -1)
        elif self.declared.kind == CLASS:
            classes = len(self.declared.classes)
            known = functional.one_hot(known[:, 0].long(), classes).to(rows.dtype)
        found: Tensor = self.out(functional.silu(self.read(known)))
        return found


class PropertyAdapter(nn.Module):
    """What one property adds to the nodes after each round of messages.

    Args:
        declared: The property.
        hidden: Width of the nodes.
        rounds: Rounds of messages.
        width: Of the embedding and of the narrow layers.
    """

    def __init__(self, declared: Property, hidden: int, rounds: int, width: int) -> None:
        super().__init__()
        self.embedding = PropertyEmbedding(declared, width)
        self.told = nn.ModuleList(Linear(width, width) for _ in range(rounds))
        self.down = nn.ModuleList(Linear(hidden, width, bias=False) for _ in range(rounds))
        self.up = nn.ModuleList(Linear(width, hidden, bias=False) for _ in range(rounds))
        for layer in self.up:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]  # a module list forgets what it holds

    def change(
        self, place: int, nodes: Float[Tensor, "atoms hidden"], vectors: Tensor, layout: Layout
    ) -> Float[Tensor, "atoms hidden"]:
        """What is added to the nodes after a round.

        Args:
            place: Number of the round, from 0.
            nodes: After it.
            vectors: Embedding of each crystal's value.
            layout: Which nodes are which crystal's.
        """
        of_property = layout.broadcast(self.told[place](vectors), "atom")
        normed = functional.layer_norm(nodes, nodes.shape[-1:])
        found: Tensor = self.up[place](functional.silu(self.down[place](normed) + of_property))
        return found


class Conditioning(nn.Module):
    """The adapters of a denoiser.

    Args:
        properties: What it can be told, by name.
        hidden: Width of the nodes.
        rounds: Rounds of messages of its encoder.
        width: Of embeddings and narrow layers.
    """

    def __init__(
        self, properties: Mapping[str, Property], hidden: int, rounds: int, width: int = WIDTH
    ) -> None:
        super().__init__()
        made = {n: PropertyAdapter(one, hidden, rounds, width) for n, one in properties.items()}
        self.adapters = nn.ModuleDict(made)

    def forward(self, context: Context, layout: Layout) -> Callable[[int, Tensor], Tensor] | None:
        """Adds to the nodes after a round what is told; None if nothing is.

        Args:
            context: Rows as `Property.row` makes them by name, shape (crystals, values); whatever
                else it holds is passed over.
            layout: Rows of each crystal.
        """
        own = {name: cast(PropertyAdapter, one) for name, one in self.adapters.items()}
        told = [
            (one, one.embedding(context[name]), _told(context[name], layout))
            for name, one in own.items()
            if name in context
        ]
        if not told:
            return None

        def adapted(place: int, nodes: Tensor) -> Tensor:
            changes = [
                adapter.change(place, nodes, vectors, layout).masked_fill(~is_told, 0.0)
                for adapter, vectors, is_told in told
            ]
            return nodes + sum(changes[1:], changes[0])

        return adapted


def _told(rows: Float[Tensor, "crystals values"], layout: Layout) -> Bool[Tensor, "atoms 1"]:
    """Whether each node's crystal is told a value."""
    return layout.broadcast(~rows[:, 0].isnan(), "atom").unsqueeze(-1)


def condition(
    denoiser: Denoiser, properties: Mapping[str, Property], width: int = WIDTH
) -> Denoiser:
    """The denoiser with adapters for properties, or as it is where there are none.

    Args:
        denoiser: Given its adapters in place.
        properties: What it can be told, by name.
        width: Of embeddings and narrow layers.

    Raises:
        InputError: If its encoder takes no adapters.
    """
    if properties:
        encoder = denoiser.encoder
        if not encoder.rounds:
            raise InputError(
                f"{type(encoder).__name__} takes no adapters, so that it cannot be told "
                f"{', '.join(properties)}. Encoders with rounds of messages, such as cspnet, do."
            )
        denoiser.conditioning = Conditioning(properties, encoder.hidden, encoder.rounds, width)
    return denoiser
