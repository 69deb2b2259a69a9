"""Training of the masked model of elements: hidden ones are told from those that are not."""

from collections.abc import Callable

import torch
from torch.nn import functional

from ase_crysdiff.data.part_crystals import KnownElements
from ase_crysdiff.networks.site_elements.network import HIDDEN, UNKNOWN, present
from ase_crysdiff.shapes import Bool, Tensor

#: Share of the crystals whose energy above the hull, and whose geometry, is kept from the network.
HIDDEN_HULL, HIDDEN_GEOMETRY = 0.15, 0.1


class SiteElementsObjective:
    """Minus the logarithm of the probability of hidden elements, in nats: mean over the hidden
    parts of each crystal, then over crystals.

    How many parts are hidden is drawn uniformly from one to all, so that the model can fill them
    one after the other in any order. Elements that other parts show are masked before the
    probabilities are normalised.

    Source: Hoogeboom et al. 2022 (autoregressive diffusion), equation 6, per hidden part.
    """

    def loss(
        self, network: Callable[..., Tensor], batch: KnownElements, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, the same with one and with all parts hidden, and how often the right element is
        the likeliest and among the likeliest five.

        Args:
            network: A `SiteElements`, possibly wrapped.
            batch: Crystals with equally many parts.
            generator: Of what is hidden; on the device of the batch.
        """
        parts, hull = batch.parts, batch.hull
        if torch.is_grad_enabled():
            luck = torch.rand(2, len(batch), generator=generator, device=hull.device)
            parts = parts.without_geometry(luck[0] < HIDDEN_GEOMETRY)
            hull = hull.masked_fill(luck[1] < HIDDEN_HULL, UNKNOWN)
        hidden = draw_hidden(batch, generator)
        shown = batch.elements.masked_fill(hidden, HIDDEN)
        logits = network(parts, shown, hull).masked_fill(present(shown).unsqueeze(1), -torch.inf)
        logits = logits.float()
        wrong = functional.cross_entropy(
            logits.flatten(0, 1), batch.elements.masked_fill(~hidden, -100).flatten(),
            reduction="none",
        ).unflatten(0, hidden.shape)  # fmt: skip
        share = hidden / hidden.sum(1, keepdim=True)
        own = logits.detach().gather(2, batch.elements.unsqueeze(2))
        rank = (logits.detach() > own).sum(2)
        losses = (wrong * share).sum(1)
        found = {"top1": ((rank < 1) * share).sum(1), "top5": ((rank < 5) * share).sum(1)}
        return losses.mean(), {
            "nats": losses.detach().mean(),
            **{name: value.mean() for name, value in found.items()},
        }


def draw_hidden(batch: KnownElements, generator: torch.Generator) -> Bool[Tensor, "crystals parts"]:
    """Which parts are hidden: one to all of each crystal, every number as often."""
    shape, device = batch.elements.shape, batch.elements.device
    number = torch.randint(1, shape[1] + 1, (shape[0], 1), generator=generator, device=device)
    luck = torch.rand(shape, generator=generator, device=device)
    return luck.argsort(1).argsort(1) < number
