"""CrysBFN: crystals by periodic Bayesian flow, for a given composition or de novo.

Source: Wu et al. 2025, "A Periodic Bayesian Flow for Material Generation", ICLR 2025.

Where the model differs from the paper, and why:
- angles are observed many times and weakly, which has a closed form: nothing is simulated in
  training, and one network draws crystals in any number of steps (`processes.bayesian_flow`);
- the lattice is six standardised numbers (`LatticePolar`) in place of the scaled matrix, and the
  network predicts how far data lie from the belief in units of the belief's spread;
- common shifts of all atoms, which no network can know, are taken out of targets and predictions;
- edges read distances of nearest images, too.
"""

import math
from pathlib import Path
from typing import Any, ClassVar

import torch

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.recipe import Tensors
from ase_crysdiff.recipes.dao_g import DaoG


class CrysBFN(DaoG):
    """Bayesian flow of lattice and coordinates; also of the species where the config has an entry
    `species`, such as `{"species": {}}`, for crystals de novo.
    """

    name = "crysbfn"
    optional: ClassVar[tuple[str, ...]] = (*DaoG.optional, "species")

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config for a data set."""
        config = super().configure(data)
        del config["lattice_target"]
        return {
            **config,
            "family": "bayesian",
            "stem": {"name": "beliefs"},
            "encoder": {**config["encoder"], "distances": 16},
            "loss_weights": {"lattice": 1.0, "frac_coords": 1.0},
        }

    def published(self, data: PackedCrystals) -> dict[str, Any]:
        """The paper's network, CSPNet with 12 million parameters, which reads no distances."""
        encoder = {"name": "cspnet", "hidden": 512, "layers": 6, "frequencies": 128}
        return {**self.configure(data), "encoder": encoder}

    def adopted(self, config: Config, data: PackedCrystals) -> dict[str, Any] | None:
        """The config of a training that begins with a flow for given species: it knows which way
        atoms go.
        """
        if config.get("family") != "flow" or {"species", "stem"} & set(config):
            return None
        return {**self.configure(data), **{name: config[name] for name in ("lattice", "encoder")}}

    def fill(self, model: GenerativeModel, tensors: Tensors, source: Path) -> None:
        """Copies weights, also those of a flow: its velocities point away from the data, and over a
        whole turn; it knows nothing of certainties.
        """
        if CERTAINTY not in tensors:
            heads = {
                name: -factor * tensors[name]
                for name, factor in FROM_VELOCITY.items()
                if name in tensors
            }
            width = len(tensors["stem.join.bias"])
            tensors = {**tensors, **heads, CERTAINTY: torch.zeros(width, 3)}
        super().fill(model, tensors, source)


#: What the weights of a flow lack.
CERTAINTY = "stem.certainty.weight"
#: Displacements in units of their own spread over the velocities of flows, by weights of the heads:
#: uniform noise on a circle has a spread of 1/√12, lattices are standardised in both.
FROM_VELOCITY = {
    "heads.lattice.linear.weight": 1.0,
    "heads.lattice.linear.bias": 1.0,
    "heads.frac_coords.linear.weight": math.sqrt(12),
}
RECIPE = CrysBFN()
