"""CHGGen: fills hosts, with whichever model can serve the request.

Source: Host-guided crystal generation, Materials Horizons 2025 (CHGGen): host atoms held while
guests are generated, RePaint resampling. Its network, a variance-exploding diffusion of Cartesian
coordinates in a fixed cell, is replaced by the models that ship: structure prediction for known
numbers of guests, mirage atoms for ranges.
"""

from functools import partial
from pathlib import Path

from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.router import Router
from ase_crysdiff.sampling.tasks.inpaint import Inpaint

#: Models in the order of preference.
MODELS = ("dao-g-flow", "dao-g", "miad")
_REFUSAL = "'chggen' fills hosts: use inpaint(host, guests). For crystals from nothing use miad."


def chggen(weights: str | Path | None = None, device: str = "cpu") -> Router:
    """The sampler that fills hosts: the shipped models, or the one in a folder of weights.

    Args:
        weights: Folder with the weights of one model; None takes the shipped ones in the order of
            preference.
        device: Where to compute, as torch spells it.

    Raises:
        CheckpointError: If the folder holds no weights.
    """
    names: tuple[str, ...] = MODELS
    if weights is not None:
        names = (weight_files.read_card(weight_files.find("chggen", weights)).name,)
    load = partial(load_sampler, weights=weights, device=device)
    return Router("chggen", {Inpaint: names}, load, _REFUSAL)
