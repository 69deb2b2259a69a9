"""The masked model of elements by name: what exchanges elements of known crystals."""

from pathlib import Path

import torch

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Kind
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.site_elements.exchange import ElementExchange, ExchangeSettings
from ase_crysdiff.networks.site_elements.network import SiteElements

#: Name of the weights that ship.
SITE_ELEMENTS = "site-elements"


def load_exchange(
    name: str | Path = SITE_ELEMENTS, settings: ExchangeSettings | None = None
) -> ElementExchange:
    """What draws elements for the parts of crystals, from trained weights.

    Args:
        name: Of weights in `CRYSDIFF_WEIGHTS` or in the package; or a folder that `crysdiff export`
            wrote.
        settings: How to draw; None for the defaults, which are tuned.

    Raises:
        CheckpointError: If the weights are missing, damaged or those of something else.
    """
    folder = weight_files.find_named(name)
    card, tensors = weight_files.read(folder)
    if card.kind is not Kind.ELEMENTS:
        raise CheckpointError(
            f"{folder} holds a {card.kind}, expected a model of elements, which crysdiff train "
            f"{SITE_ELEMENTS} makes."
        )
    with torch.random.fork_rng(devices=[]):  # the initial weights are overwritten
        network: SiteElements = recipe(card.config["recipe"]).build(card.config)
    weight_files.fill(network, tensors, folder / weight_files.WEIGHTS)
    return ElementExchange(network.requires_grad_(False), settings, card.elements)
