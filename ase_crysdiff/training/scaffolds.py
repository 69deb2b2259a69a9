"""Training on scaffolds: what their recipes share, and maximum likelihood under exact masks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.recipe import Recipe
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.symmetry.decisions import Decisions

#: Share of the crystals whose energy above the hull is hidden.
HIDDEN_HULL = 0.2


class ScaffoldRecipe(Recipe):
    """A network that learns from crystals packed with their scaffolds; its arguments are the entry
    `network` of the config.
    """

    #: What is trained.
    architecture: ClassVar[type[nn.Module]]

    def build(self, config: Config) -> nn.Module:
        """The network of a config.

        Raises:
            InputError: If it does not take the arguments.
        """
        try:
            return self.architecture(**config["network"])
        except TypeError as error:
            raise InputError(f"the network of {self.name} does not take that: {error}") from error

    def load_data(self, path: Path) -> PackedCrystals:
        """Crystals with their scaffolds.

        Raises:
            InputError: If the file is none of packed crystals, or holds no scaffolds.
        """
        return PackedCrystals.load_symmetric(path)


class ScaffoldObjective:
    """Minus the logarithm of the probability of each scaffold, in nats per crystal.

    What cannot be completed is masked before the probabilities are normalised, so nothing is spent
    on it. The probability that the masks take away is logged: it says what the network knows by
    itself.
    """

    def loss(
        self, network: Callable[..., Any], batch: Decisions, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, its parts, and how often the group is the likeliest.

        Args:
            network: A `ScaffoldModel`, possibly wrapped.
            batch: Scaffolds of equally many sites.
            generator: Hides energies above the hull; on the device of the batch.
        """
        if torch.is_grad_enabled():
            hidden = torch.rand(len(batch), generator=generator, device=batch.hull.device)
            hull = batch.hull.masked_fill(hidden < HIDDEN_HULL, 0)
        else:
            hull = torch.zeros_like(batch.hull)
        group, letters = network(Decisions(**{**vars(batch), "hull": hull}))
        masked = group.masked_fill(~batch.groups, float("-inf"))
        of_group = functional.cross_entropy(masked, batch.group)
        rows = letters.masked_fill(~batch.allowed, float("-inf")).flatten(0, 1)
        of_letters = functional.cross_entropy(rows, batch.letters.flatten(), reduction="sum")
        of_letters = of_letters / len(batch)
        legal = (letters.softmax(-1) * batch.allowed).sum(-1).mean()
        parts = {
            "group": of_group.detach(),
            "letters": of_letters.detach(),
            "illegal": 1 - legal.detach(),
            "right_group": (masked.argmax(-1) == batch.group).float().mean(),
        }
        return of_group + of_letters, parts
