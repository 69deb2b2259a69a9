"""MiAD: de novo crystals whose number of atoms is found while sampling.

Source: Okhotin et al. 2025, "MiAD: Mirage Atom Diffusion for De Novo Crystal Generation", arXiv
2511.14426.

Where the shipped model differs from the paper, and why:
- every crystal has as many rows as atoms and a few more, whose number is drawn, in place of 25: two
  thirds of those are empty, and cost most of the pairs of rows;
- lattice (the six standardised numbers of `LatticePolar`) and coordinates follow straight paths to
  their priors, as in `dao-g-flow`, whose weights a training may begin with: a small network needs
  fewer steps. Species are hidden, not replaced by others: what is seen of a crystal is true;
- with `symmetric_share`, batches are noised on symmetric sites, some of which are empty: what rows
  of vacancies are to a plain crystal, orbits of them are to a symmetric one.
`RECIPE.published(data)` gives the paper's.
"""

from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.constants import HIDDEN
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.statistics import elements, lattice_statistics, size_histogram
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.building import build_model
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.recipe import Tensors
from ase_crysdiff.training.denoising import GenerativeRecipe

#: Rows of every crystal in the paper, for crystals of at most 20 atoms.
SLOTS = 25
MAX_ATOMS = 20
#: Odds of 0, 1, 2, … rows, or sites, beside the occupied ones.
SPARE = (0.4, 0.3, 0.2, 0.1)


class Miad(GenerativeRecipe):
    """Lattice, coordinates and species of crystals with rows that may turn out to be vacant."""

    name = "miad"

    def build(self, config: Config) -> GenerativeModel:
        """The model of a config."""
        return build_model(config)

    def configure(self, data: PackedCrystals) -> dict[str, Any]:
        """The default config for a data set: its statistics and a network that a CPU can train."""
        known = elements(data)
        if HIDDEN in known:
            raise InputError(
                f"miad uses the class {HIDDEN} (Es) for elements that are not known yet. Leave "
                "crystals of einsteinium out of the training data."
            )
        return {
            "recipe": self.name,
            "state_space": {"name": "mirage", "spare": list(SPARE), "max_atoms": MAX_ATOMS},
            "lattice": {"name": "polar", **lattice_statistics(data)},
            "family": "flow",
            "species": {"kernel": "hidden", "prior": None},
            "encoder": {
                "name": "cspnet",
                "hidden": 192,
                "layers": 5,
                "frequencies": 32,
                "distances": 16,
            },
            "loss_weights": {"lattice": 1.0, "frac_coords": 10.0, "species": 1.0},
            "centred": True,
            "sizes": size_histogram(data),
            "elements": known,
        }

    def published(self, data: PackedCrystals) -> dict[str, Any]:
        """The paper's model: 25 rows, raw lattice matrix, noise, uniform species prior, the
        authors' kernel, 12.3 million parameters.
        """
        return {
            **self.configure(data),
            "state_space": {"name": "mirage", "slots": SLOTS, "max_atoms": MAX_ATOMS},
            "lattice": {"name": "matrix"},
            "family": "diffusion",
            "lattice_target": "noise",
            "species": {"kernel": "published", "prior": None},
            "encoder": {"name": "cspnet", "hidden": 512, "layers": 6, "frequencies": 128},
            "loss_weights": {"lattice": 1.0, "frac_coords": 1.0, "species": 1.0},
            "centred": False,
        }

    def adopted(self, config: Config, data: PackedCrystals) -> dict[str, Any] | None:
        """The config of a training that begins with a flow for given species: it knows how atoms of
        known elements move, and learns what the elements are.
        """
        if config.get("family") != "flow" or "species" in config or "stem" in config:
            return None
        kept = {name: config[name] for name in ("lattice", "encoder")}
        return {**self.configure(data), **kept}

    def fixed_by_origin(self, changes: Config) -> list[str]:
        """Rows that are empty, the noise of species and weights of the loss are no part of the
        network.
        """
        free = {"state_space", "loss_weights", "species"}
        return sorted({*super().fixed_by_origin(changes)} - free)

    def fill(self, model: GenerativeModel, tensors: Tensors, source: Path) -> None:
        """Copies weights, also those of a flow for given species: a row of its embedding is what a
        linear map makes of the element's one-hot vector.
        """
        if HEAD not in tensors:
            own = dict(model.denoiser.named_parameters())
            species = tensors["stem.species.weight"].T.contiguous()
            learnt = {name: own[name].detach() for name in own if name.startswith("heads.species")}
            bias = torch.zeros(species.shape[0])
            tensors = {
                **tensors,
                **learnt,
                "stem.species.weight": species,
                "stem.species.bias": bias,
            }
        super().fill(model, tensors, source)


#: What weights of a model that finds species have, and those of one that is given them have not.
HEAD = "heads.species.linear.weight"
RECIPE = Miad()
